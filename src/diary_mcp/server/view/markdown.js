// A part of Markdown as elements: what is not understood stands there as it was written.

const DEEPEST = 6;
// How far the end of something is looked for, and how often in vain in one paragraph, before its
// rest is taken for plain text: what is hostile takes no longer than what is long.
const REACH = 2000;
const MOST_TRIES = 50;
const MISSING = new Set("`[<*_~");
const MARK = /[\\\n`[!<h*_~]/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const TABLE_RULE = /^\|?:?-+:?(?:\|:?-+:?)*\|?$/;
const BARE_ADDRESS = /https?:\/\/[^\s<>"'`)\]]+/y;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}_]/u;
const MARKS = [["**", "strong"], ["__", "strong"], ["~~", "s"], ["*", "em"], ["_", "em"]];

/** The blocks of a text; `link` makes an element of a label and an address. */
function renderMarkdown(text, link) {
  return blocks(showOverrides(text).split(/\r\n|\r|\n/), link, 0);
}

function blocks(lines, link, depth) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const [block, next] = lines[at].trim() === "" ? [undefined, at + 1] : takeBlock(lines, at, link, depth);
    if (block !== undefined) made.push(block);
    at = next;
  }
  return made;
}

/** The block that begins at a line, and the line after it. */
function takeBlock(lines, at, link, depth) {
  const line = lines[at];
  const heading = HEADING.exec(line);
  if (FENCE.test(line)) return takeFence(lines, at);
  if (heading) {
    const text = heading[2].trim().replace(/(?:^|[ \t])#+$/, "");
    return [element(`h${Math.min(heading[1].length + 1, 6)}`, {}, inline(text, link, 0)), at + 1];
  }
  if (RULE.test(line)) return [element("hr"), at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return takeQuote(lines, at, link, depth);
  if (depth < DEEPEST && ITEM.test(line)) return takeList(lines, at, link, depth);
  if (isTable(lines, at)) return takeTable(lines, at, link);
  return takeParagraph(lines, at, link);
}

function takeFence(lines, at) {
  const mark = FENCE.exec(lines[at])[1];
  let end = at + 1;
  while (end < lines.length && !isFenceEnd(lines[end], mark)) end += 1;
  const code = element("code", {}, lines.slice(at + 1, end).join("\n"));
  return [element("pre", { tabindex: "0" }, code), end + 1];
}

function isFenceEnd(line, mark) {
  const rest = line.trim();
  return rest.length >= mark.length && rest === mark[0].repeat(rest.length);
}

function takeQuote(lines, at, link, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [element("blockquote", {}, blocks(inside, link, depth + 1)), end];
}

function takeList(lines, at, link, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const isOrdered = mark.length > 1;
  const items = [];
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    const isNext = found && found[1].length <= indent.length + 1 && found[2].length > 1 === isOrdered;
    if (!isNext || RULE.test(lines[next])) break;
    const [inside, end] = takeItem(lines, next, found[1].length + found[2].length + 1);
    items.push(element("li", {}, unwrapped(blocks(inside, link, depth + 1))));
    next = end;
  }
  const start = isOrdered ? { start: String(parseInt(mark, 10)) } : {};
  return [element(isOrdered ? "ol" : "ul", start, items), next];
}

/** The lines of an item without their indent, and the line after it. */
function takeItem(lines, at, indent) {
  const inside = [lines[at].slice(indent).trimStart()];
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const depth = line.length - line.trimStart().length;
    const isBlank = line.trim() === "";
    const afterBlank = lines[end - 1].trim() === "";
    if (!isBlank && depth < Math.min(indent, 2) && (afterBlank || beginsBlock(line))) break;
    inside.push(depth >= indent ? line.slice(indent) : line.trimStart());
  }
  while (inside.length > 1 && inside.at(-1).trim() === "") inside.pop();
  return [inside, end];
}

/** The blocks of an item; a single paragraph without its element. */
function unwrapped(made) {
  return made.flatMap((block, at) =>
    at === 0 && block.localName === "p" ? [...block.childNodes] : [block],
  );
}

function isTable(lines, at) {
  const isRow = lines[at].includes("|") && at + 1 < lines.length;
  return isRow && TABLE_RULE.test(lines[at + 1].replace(/[ \t]/g, ""));
}

function takeTable(lines, at, link) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim() !== "") end += 1;
  const row = (line, cell) =>
    element("tr", {}, cells(line).map((text) => element(cell, {}, inline(text, link, 0))));
  const head = element("thead", {}, row(lines[at], "th"));
  const body = element("tbody", {}, lines.slice(at + 2, end).map((line) => row(line, "td")));
  return [element("div", { class: "table", tabindex: "0" }, element("table", {}, head, body)), end];
}

function cells(line) {
  const inside = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inside.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function takeParagraph(lines, at, link) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== "" && !beginsBlock(lines[end])) end += 1;
  const text = lines.slice(at, end).map((line) => line.trimStart()).join("\n");
  return [element("p", {}, inline(text, link, 0)), end];
}

function beginsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

/** What stands in a line: text nodes and elements. */
function inline(text, link, depth) {
  const made = [];
  let missed = 0;
  let written = 0;
  let at = 0;
  while (at < text.length && missed < MOST_TRIES) {
    const found = MARK.test(text[at]) ? takeInline(text, at, link, depth) : undefined;
    if (found === undefined) {
      missed += MISSING.has(text[at]) ? 1 : 0;
      at += 1;
    } else {
      made.push(text.slice(written, at), found[0]);
      [, at] = found;
      written = at;
    }
  }
  return [...made, text.slice(written)].filter((piece) => piece !== "");
}

/** What begins at a character and where it ends; undefined where it is but a character. */
function takeInline(text, at, link, depth) {
  const character = text[at];
  if (character === "\\") {
    if (text[at + 1] === "\n") return [element("br"), at + 2];
    return PUNCTUATION.test(text[at + 1] ?? "") ? [text[at + 1], at + 2] : undefined;
  }
  if (character === "\n") {
    return text[at - 1] === " " && text[at - 2] === " " ? [element("br"), at + 1] : undefined;
  }
  if (character === "`") return takeCode(text, at);
  if (character === "[" || (character === "!" && text[at + 1] === "[")) return takeLink(text, at, link);
  if (character === "<" || character === "h") return takeAddress(text, at, link);
  return depth < DEEPEST && "*_~".includes(character) ? takeMarked(text, at, link, depth) : undefined;
}

function takeCode(text, at) {
  let start = at;
  while (text[start] === "`") start += 1;
  const mark = text.slice(at, start);
  let end = find(text, mark, start);
  while (end !== -1 && text[end + mark.length] === "`") {
    let run = end;
    while (text[run] === "`") run += 1;
    end = find(text, mark, run);
  }
  if (end === -1) return undefined;
  const code = text.slice(start, end);
  const isPadded = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
  return [element("code", {}, isPadded ? code.slice(1, -1) : code), end + mark.length];
}

/** A link, or an image, which is only named: to load it would tell that it was seen. */
function takeLink(text, at, link) {
  const isImage = text[at] === "!";
  const start = at + (isImage ? 2 : 1);
  const middle = find(text, "](", start);
  const end = middle === -1 ? -1 : closing(text, middle + 2);
  if (end === -1 || text.slice(start, middle).includes("\n\n")) return undefined;
  const [address] = text.slice(middle + 2, end).trim().split(/\s/);
  const label = text.slice(start, middle).replace(/[*`\\]/g, "");
  return [link(isImage ? `image: ${label}` : label, address.replace(/^<|>$/g, "")), end + 1];
}

function closing(text, from) {
  let open = 1;
  for (let at = from; at < Math.min(text.length, from + REACH); at += 1) {
    if (text[at] === "(") open += 1;
    if (text[at] === ")") open -= 1;
    if (open === 0) return at;
  }
  return -1;
}

function takeAddress(text, at, link) {
  const isBracketed = text[at] === "<";
  if (!isBracketed && WORD.test(text[at - 1] ?? "")) return undefined;
  BARE_ADDRESS.lastIndex = at + (isBracketed ? 1 : 0);
  const found = BARE_ADDRESS.exec(text)?.[0];
  if (found === undefined) return undefined;
  const end = BARE_ADDRESS.lastIndex;
  if (isBracketed) return text[end] === ">" ? [link(found, found), end + 1] : undefined;
  const address = found.replace(/[.,;:!?*_~]{1,9}$/, "");
  return [link(address, address), at + address.length];
}

function takeMarked(text, at, link, depth) {
  for (const [mark, name] of MARKS) {
    if (!text.startsWith(mark, at) || /\s|^$/.test(text[at + mark.length] ?? "")) continue;
    const isInWord = mark[0] === "_" && WORD.test(text[at - 1] ?? "");
    const end = isInWord ? -1 : closingMark(text, mark, at + mark.length);
    if (end === -1) continue;
    const inside = inline(text.slice(at + mark.length, end), link, depth + 1);
    return [element(name, {}, inside), end + mark.length];
  }
  return undefined;
}

function closingMark(text, mark, from) {
  let end = find(text, mark, from);
  for (let tries = 0; end !== -1 && tries < MOST_TRIES; tries += 1) {
    const isAfterSpace = end === from || /\s/.test(text[end - 1]);
    const isHalf = mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark);
    const isInWord = mark[0] === "_" && WORD.test(text[end + mark.length] ?? "");
    if (!isAfterSpace && !isHalf && !isInWord) return end;
    end = find(text, mark, end + 1, from);
  }
  return -1;
}

/** Where a mark stands next, not further than `REACH` from where the search began; else -1. */
function find(text, mark, from, began = from) {
  const found = text.slice(from, began + REACH).indexOf(mark);
  return found === -1 ? -1 : from + found;
}
