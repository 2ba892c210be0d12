// Elements from text. Nothing that an entry holds is ever parsed as HTML, or becomes an address.

// What is not to be seen, turns the direction of writing, or moves the cursor, and letters that
// look like nothing; but for what joins letters of Persian and Hindi and the parts of an emoji.
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu;
const OVERRIDES = /[\u202a-\u202e\u2066-\u2069]/gu;

/** An element; `properties` are attributes, or functions that hear events, all named by us. */
function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== false) made.append(child);
  }
  return made;
}

/** A name that others gave, which keeps its direction to itself and hides nothing. */
function quoted(text) {
  return element("bdi", {}, String(text).replace(UNSEEN, codePoint));
}

/** Likewise what others say in a line or a few. */
function sentence(text) {
  return quoted(String(text).replace(/\s+/g, " "));
}

/** Prose or code, in which what overrides the direction of writing is to be seen. */
function showOverrides(text) {
  return text.replace(OVERRIDES, codePoint);
}

function codePoint(character) {
  return `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** A moment as the reader writes it; `place` is the host's context with locale and time zone. */
function moment(text, { locale, timeZone }) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return quoted(text);
  const options = { dateStyle: "medium", timeStyle: "short" };
  let written;
  try {
    written = new Intl.DateTimeFormat(locale, { ...options, timeZone }).format(date);
  } catch {
    written = new Intl.DateTimeFormat(undefined, options).format(date);
  }
  return element("time", { datetime: date.toISOString(), title: date.toISOString() }, written);
}

/** The http or https address that a text is, without tricks in the name of its host; else null. */
function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url : null;
  } catch {
    return null;
  }
}
