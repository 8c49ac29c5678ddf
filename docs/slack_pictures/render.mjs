// Draw Slack messages and views as HTML pages: node render.mjs cards.json OUT_FOLDER (run by docs/slack_pictures.py).
//
// cards.json holds {name: message or view}. Needs, in the folder it runs in:
//   npm install slack-blocks-to-jsx@1.1.1 react@19 react-dom@19 @fontsource/lato @twemoji/svg sharp
// Good for layout only: this renderer decodes entities before it parses, so it proves nothing about escaping.
import fs from "node:fs";
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { Message } from "slack-blocks-to-jsx";

const [, , source, out] = process.argv;
const css = fs.readFileSync("node_modules/slack-blocks-to-jsx/dist/style.css", "utf8");
const logo = "data:image/svg+xml," + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect width="36" height="36" rx="8" fill="#1d3b2f"/>' +
  '<path d="M9 19l6 6 12-14" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/></svg>');
const SANS = "Lato, 'DejaVu Sans', sans-serif";
const fonts = ["lato/400.css", "lato/700.css", "lato/900.css"].map((file) => "node_modules/@fontsource/" + file)
  .map((file) => fs.readFileSync(file, "utf8").replaceAll("url(./", `url(../${file.slice(0, file.lastIndexOf("/"))}/`)).join("");

// plain_text with emoji off shows `10:00:42` as it is; this renderer reads `:00:` as an emoji all the same.
function literal(value) {
  if (Array.isArray(value)) return value.map(literal);
  if (!value || typeof value !== "object") return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, literal(one)]));
  if (copy.type === "plain_text") copy.text = copy.text.replaceAll(":", "\u2236");
  return copy;
}

function signs(html) {
  return html.replace(/\p{Extended_Pictographic}\uFE0F?/gu, (sign) => {
    const file = `node_modules/@twemoji/svg/${sign.codePointAt(0).toString(16)}.svg`;
    return fs.existsSync(file) ? `<img src="../${file}" style="height:1.15em;display:inline;vertical-align:-0.2em">` : sign;
  });
}

function frame(view, body, dark) {
  const [line, bar, go] = dark ? ["#35373b", "#1a1d21", "#007a5a"] : ["#ddd", "#fff", "#007a5a"];
  const button = (text, style) => `<span style="border-radius:6px;padding:7px 14px;font-weight:700;${style}">${text}</span>`;
  const foot = [view.close && button(view.close.text, `border:1px solid ${line}`),
    view.submit && button(view.submit.text, `background:${go};color:#fff;margin-left:10px`)].filter(Boolean).join("");
  return `<div style="border:1px solid ${line};border-radius:10px;overflow:hidden;background:${bar}">` +
    `<div style="padding:14px 20px;font:900 19px ${SANS};border-bottom:1px solid ${line}">${view.title.text}</div>` +
    `<div style="padding:4px 12px">${body}</div>` +
    (foot ? `<div style="padding:14px 20px;border-top:1px solid ${line};text-align:right;font:15px ${SANS}">${foot}</div>` : "") + "</div>";
}

for (const [name, made] of Object.entries(JSON.parse(fs.readFileSync(source, "utf8")))) {
  for (const theme of ["light", "dark"]) {
    const dark = theme === "dark";
    const data = { users: [], channels: [], user_groups: [] };
    const html = renderToStaticMarkup(createElement(Message,
      { blocks: literal(made.blocks), name: "Countersign", logo, time: new Date(36000000), theme, data }));
    const body = signs(html).replaceAll("↵ Please &#x27;enter&#x27; to submit", "");
      const bare = made.type ? ".slack_blocks_to_jsx > .shrink-0, .slack_blocks_to_jsx--header { display: none !important }" : "";
    const shown = made.type === "modal" ? frame(made, body, dark) : body;
    fs.writeFileSync(`${out}/${name}-${theme}.html`, "<!doctype html><meta charset=utf-8>" +
      `<meta name=viewport content="width=device-width"><style>${fonts}${css} *{font-family:${SANS}} pre,pre *,code,code *{font-family:'DejaVu Sans Mono',monospace} ${bare}` +
      `</style><body style="margin:10px;color:${dark ? "#d1d2d3" : "#1d1c1d"};background:${dark ? "#1a1d21" : "#fff"}">${shown}`);
  }
}
