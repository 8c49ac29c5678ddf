// Make PNGs small: node shrink.mjs FROM TO [FROM TO …] (run by docs/slack_pictures.py; needs npm's sharp).
import sharp from "sharp";

const pairs = process.argv.slice(2);
for (let at = 0; at < pairs.length; at += 2) {
  await sharp(pairs[at]).png({ palette: true, colours: 96, compressionLevel: 9, effort: 10 }).toFile(pairs[at + 1]);
}
