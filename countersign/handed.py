"""Ask the `countersign run` that started COMMAND for its newest credential: the `credential_process` of `--extend`.

Started by path as `python -I -S handed.py SOCKET`, often, by AWS SDKs; so it imports two modules and nothing of ours.
The answer is one line of status, then what an SDK reads, or the words for whoever runs it.
"""

import socket
import sys

PATIENCE_SECONDS = 10
GONE = "`countersign run` has ended, and its credential with it."


def main(path: str) -> int:
    """Print the credential, or why there is none; return the exit code."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE_SECONDS)
            line.connect(path)
            answer = b"".join(iter(lambda: line.recv(65_536), b"")).decode()
    except OSError:
        answer = f"1\n{GONE}"
    code, _, text = answer.partition("\n")
    if code == "0":
        sys.stdout.write(text)
        return 0
    sys.stderr.write(f"countersign: {text or GONE}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
