// The view: what the host told, and where the reader is.

const STYLE_OF_HOST = /^--(?:color|font|border|shadow)-[a-z0-9-]+$/;

const main = document.querySelector("main");
// The screens that the reader came through, the one in view last; each with what opened the next.
const trail = [];
let given = {};
let reader;
let settled;
const ready = new Promise((resolve) => {
  settled = resolve;
});

connectToHost({
  "ui/notifications/tool-input": ({ arguments: sent }) => {
    given = sent ?? {};
  },
  "ui/notifications/tool-result": (result) => ready.then(() => begin(shown(result, given))),
  "ui/notifications/tool-cancelled": () => begin(told("The call was cancelled.")),
  "ui/notifications/host-context-changed": (changed) => ready.then(() => dress(changed)),
}).then(settleIn).catch((error) => begin(told(error.message, "bad")));

/** Takes on what the host is like. */
function settleIn(host) {
  reader = {
    context: host.context,
    canCallTools: host.canCallTools,
    link: (label, address) => linkTo(host, label, address),
    open: (id, from) => openEntry(host, id, from),
    caller: (label, tool, asked, then) => callingButton(host, label, tool, asked, then),
  };
  dress(host.context);
  new ResizeObserver(() => host.tellHeight(Math.ceil(document.body.getBoundingClientRect().height)))
    .observe(document.body);
  settled();
}

function dress(context) {
  Object.assign(reader.context, context);
  const root = document.documentElement;
  if (context.theme === "light" || context.theme === "dark") root.style.colorScheme = context.theme;
  for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
    if (STYLE_OF_HOST.test(name) && value) root.style.setProperty(name, value);
  }
}

/** A result as a screen: the structured content, else the same as text, else what was said. */
function shown(result, asked) {
  const text = (Array.isArray(result.content) ? result.content : [])
    .map((block) => (block?.type === "text" ? block.text : "")).join("\n");
  if (result.isError) return told(text || "The call failed.", "bad");
  try {
    const screen = screenOf(result.structuredContent ?? parsed(text), asked, reader);
    if (screen !== null) return screen;
  } catch (error) {
    console.error("This result cannot be shown.", error);
  }
  return text ? element("pre", { tabindex: "0" }, showOverrides(text)) : told("There is nothing to show.");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function told(text, kind = "") {
  return element("p", { class: `notice ${kind}`, role: kind ? "alert" : "status" }, sentence(text));
}

function begin(screen) {
  trail.splice(0, Infinity, { screen });
  main.replaceChildren(screen);
}

function openEntry(host, id, from) {
  const back = element("button", { class: "back", click: goBack }, "← Back");
  const screen = element("div", {}, back, element("p", { class: "quiet", role: "status" }, "Opening…"));
  trail.at(-1).left = from.closest("button");
  trail.push({ screen });
  main.replaceChildren(screen);
  main.scrollIntoView();
  back.focus();
  call(host, "diary_get", { entry_id: id }).then((entry) => {
    screen.replaceChildren(back, entry);
    if (trail.at(-1).screen === screen) entry.querySelector("h1")?.focus();
  });
}

function goBack() {
  trail.pop();
  const { screen, left } = trail.at(-1);
  main.replaceChildren(screen);
  left?.focus();
}

/** What a call by way of the host comes to, as a screen. */
async function call(host, tool, asked) {
  try {
    return shown(await host.callTool(tool, asked), asked);
  } catch (error) {
    return told(error.message, "bad");
  }
}

/** A button that calls a tool and hands on what it found, or says beside itself what went wrong. */
function callingButton(host, label, tool, asked, then) {
  const button = element("button", { class: "more" }, label);
  const failed = (text) => {
    button.disabled = false;
    button.after(told(text, "bad"));
  };
  button.addEventListener("click", async () => {
    if (button.nextElementSibling?.getAttribute("role") === "alert") button.nextElementSibling.remove();
    button.disabled = true;
    try {
      const result = await host.callTool(tool, asked);
      const text = result.content?.[0]?.text ?? "";
      if (result.isError) failed(text || "The call failed.");
      else then(result.structuredContent ?? parsed(text));
    } catch (error) {
      failed(error.message);
    }
  });
  return button;
}

/** A link that the host opens, after it has asked as it sees fit; to the web, or to nowhere. */
function linkTo(host, label, address) {
  const url = webAddress(address);
  if (url === null || !host.canOpenLinks) {
    return element("span", {}, label === address ? label : `${label} (${url?.href ?? address})`);
  }
  const open = () => host.openLink(url.href).catch((error) => console.error(error));
  const link = element("button", { class: "link", title: url.href, click: open }, label);
  // Whatever the label says, the reader sees where it leads.
  const isSaid = [url.href, url.href.replace(/\/$/, ""), url.host].includes(label) && url.username === "";
  return isSaid ? link : element("span", {}, link, element("span", { class: "quiet" }, ` (${url.host})`));
}
