// What the tools answer, as elements. `reader` knows what the host can do, and does it.

const USUAL_IMPORTANCE = 0.5;
const SHOWN_AT_ONCE = 5;
const TYPES = new Set([
  "decision", "discovery", "problem", "progress", "reflection", "handoff", "correction", "note",
]);

/** The screen for a result of any tool; null where nothing here can show it. */
function screenOf(result, given, reader) {
  if (Array.isArray(result?.hits)) return searchScreen(result, given, reader);
  if (Array.isArray(result?.entries)) return listScreen(result, given, reader);
  if (typeof result?.content === "string" && result.id) return entryScreen(result, reader);
  if (Array.isArray(result?.most_important)) return digestScreen(result, reader);
  return null;
}

function searchScreen(result, given, reader) {
  const title = given.query ? ["Found for “", quoted(given.query), "”"] : "Found";
  const nothing = "The diary has nothing on that.";
  return pagedScreen({ title, nothing, tool: "diary_search", field: "hits" }, result, given, reader);
}

function listScreen(result, given, reader) {
  const what = { title: "Entries", nothing: "No entries.", tool: "diary_list", field: "entries" };
  return pagedScreen(what, result, given, reader);
}

/** A list with a button for what follows. */
function pagedScreen({ title, nothing, tool, field }, result, given, reader) {
  const cards = element("ol", { class: "cards" }, result[field].map((entry) => card(entry, reader)));
  const screen = element(
    "section", {}, heading("h1", title), note(result.notice),
    result[field].length > 0 ? cards : element("p", { class: "quiet" }, nothing),
  );
  const follow = (page) => {
    if (!page.next_cursor || !reader.canCallTools) return;
    const button = reader.caller("Show more", tool, { ...given, cursor: page.next_cursor }, (next) => {
      const more = Array.isArray(next?.[field]) ? next[field].map((entry) => card(entry, reader)) : [];
      for (const each of more) cards.append(each);
      button.remove();
      more[0]?.querySelector("button")?.focus();
      follow(next ?? {});
    });
    screen.append(button);
  };
  follow(result);
  return screen;
}

/** An entry of a list, of a search or of a digest. */
function card(entry, reader, level = "h2") {
  const isUntrusted = Boolean(entry.untrusted || entry.owner);
  const kind = ["card", isUntrusted && "untrusted", entry.superseded_by && "superseded"];
  return element(
    "li", { class: kind.filter(Boolean).join(" ") },
    heading(level, opener(entry, reader)),
    facts(entry, reader),
    entry.snippet && element("p", { class: "snippet" }, sentence(entry.snippet)),
    entry.note && element("p", { class: "snippet" }, "Note: ", sentence(entry.note)),
    Array.isArray(entry.matched) && entry.matched.length > 0
      && element("p", { class: "quiet" }, "Matched: ", separated(entry.matched.map(quoted))),
    related("Solves", entry.solves, reader),
    related("Corrects", entry.corrects, reader),
    tags(entry.tags),
  );
}

function related(label, entries, reader) {
  if (!Array.isArray(entries) || entries.length === 0) return undefined;
  return element(
    "div", { class: "related" }, element("span", { class: "quiet" }, label),
    element("ul", {}, entries.map((entry) => element(
      "li", {}, opener(entry, reader), entry.owner && element("span", { class: "from" }, " ", ...from(entry.owner)),
    ))),
  );
}

/** The title of an entry, which opens it where the host lets a view ask for it. */
function opener(entry, reader) {
  const title = entry.title ? quoted(entry.title) : `Untitled ${entry.type ?? "entry"}`;
  if (!reader.canCallTools || !entry.id) return element("span", {}, title);
  return element("button", { class: "link", click: (event) => reader.open(entry.id, event.target) }, title);
}

function from(agent) {
  return ["from ", quoted(agent), ", another agent"];
}

/** What is said of an entry in a line. */
function facts(entry, reader) {
  const by = entry.shared_by ?? entry.owner;
  const said = [
    entry.type && element("span", { class: `type ${TYPES.has(entry.type) ? entry.type : ""}` }, quoted(entry.type)),
    entry.date && moment(entry.date, reader.context),
    by && element("span", { class: "from" }, ...from(by)),
    entry.author && element("span", {}, "by ", quoted(entry.author)),
    entry.diary && element("span", {}, "in ", quoted(entry.diary)),
    Number.isFinite(entry.importance) && entry.importance !== USUAL_IMPORTANCE
      && element("span", {}, `importance ${entry.importance}`),
    entry.superseded_by && element("strong", {}, "corrected since"),
    entry.content !== undefined && entry.signature !== "signed" && element("span", {}, "not signed"),
  ];
  return element("p", { class: "meta" }, said.filter(Boolean));
}

function tags(names) {
  if (!Array.isArray(names) || names.length === 0) return undefined;
  return element("ul", { class: "tags", "aria-label": "Tags" }, names.map((name) => element("li", {}, quoted(name))));
}

function entryScreen(entry, reader) {
  const content = element("div", { class: "content" });
  const screen = element(
    "article", { class: entry.untrusted ? "untrusted" : undefined },
    heading("h1", entry.title ? quoted(entry.title) : `Untitled ${entry.type ?? "entry"}`),
    facts(entry, reader),
    entry.untrusted && element("p", { class: "warning", role: "note" }, sentence(entry.untrusted)),
    sharedBy(entry, reader),
    neighbours("Corrected since by", "a later entry", [entry.superseded_by], reader),
    neighbours("Corrects", "an earlier entry", entry.supersedes, reader),
    tags(entry.tags), content, identity(entry),
  );
  showContent(entry.content, entry.next_from);
  return screen;

  function showContent(text, from) {
    content.replaceChildren();
    for (const block of renderMarkdown(text, reader.link)) content.append(block);
    if (from === undefined || !reader.canCallTools) return;
    const asked = { entry_id: entry.id, from, ...(entry.version ? { version: entry.version } : {}) };
    content.append(reader.caller("Show the rest", "diary_get", asked, (part) => {
      showContent(text + (part?.content ?? ""), part?.next_from);
    }));
  }
}

function sharedBy({ shared_by: by, expires_at: until, note: why }, reader) {
  if (!by) return undefined;
  return element(
    "p", { class: "quiet" }, "Shared by ", quoted(by),
    ...(until ? [", until ", moment(until, reader.context)] : []),
    ...(why ? [": ", sentence(why)] : []),
  );
}

function neighbours(label, name, ids, reader) {
  const named = (Array.isArray(ids) ? ids : []).filter(Boolean).map((id) => opener({ id, title: name }, reader));
  return named.length > 0 && element("p", { class: "notice" }, `${label} `, separated(named));
}

function identity(entry) {
  const said = [
    ["Version", entry.version > 1 && entry.version], ["Session", entry.session], ["Key", entry.key], ["Id", entry.id],
  ].filter(([, value]) => value);
  return element("dl", {}, said.map(([name, value]) => [
    element("dt", {}, name), element("dd", {}, quoted(value)),
  ]).flat());
}

function digestScreen(digest, reader) {
  const handoff = digest.last_handoff ? [digest.last_handoff] : [];
  return element(
    "section", {}, heading("h1", "Looking back"),
    element("p", { class: "quiet" }, `${digest.entries} ${digest.entries === 1 ? "entry" : "entries"}`),
    note(digest.notice), bars(digest.by_type),
    group("Last handoff", handoff, reader),
    group("Shared with you since", digest.shared_with_you?.filter(({ id }) => id), reader),
    sharedDiaries(digest.shared_with_you?.filter(({ id }) => !id), reader),
    group("Open problems", digest.open_problems, reader),
    group("Most important", digest.most_important, reader),
    group("Solved", digest.solved, reader),
    group("Corrected", digest.corrections, reader),
    counted(digest.by_tag, digest.untrusted),
  );
}

function sharedDiaries(diaries, reader) {
  if (!Array.isArray(diaries) || diaries.length === 0) return undefined;
  return element(
    "section", { class: "group" }, heading("h2", "Diaries shared with you since"),
    element("ul", { class: "cards" }, diaries.map((each) => element(
      "li", { class: "card untrusted" }, quoted(each.diary), ` (${each.role})`, sharedBy(each, reader),
    ))),
  );
}

function group(label, entries, reader) {
  if (!Array.isArray(entries) || entries.length === 0) return undefined;
  const cards = entries.map((entry) => card(entry, reader, "h3"));
  const rest = cards.splice(SHOWN_AT_ONCE);
  return element(
    "section", { class: "group" }, heading("h2", label), element("ol", { class: "cards" }, cards),
    rest.length > 0 && element(
      "details", {}, element("summary", {}, `${rest.length} more`), element("ol", { class: "cards" }, rest),
    ),
  );
}

/** How many there are of each type, to look at. */
function bars(counts) {
  const sorted = Object.entries(counts ?? {}).sort(([, one], [, other]) => other - one);
  if (sorted.length === 0) return undefined;
  const most = sorted[0][1];
  return element("ul", { class: "bars", "aria-label": "Entries by type" }, sorted.map(([type, count]) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", String(count / most));
    return element("li", {}, element("span", {}, quoted(type)), bar, element("span", {}, String(count)));
  }));
}

function counted(counts, untrusted) {
  const names = Object.entries(counts ?? {});
  if (names.length === 0) return undefined;
  return element("section", { class: "group" }, heading("h2", "Tags"), note(untrusted), element(
    "ul", { class: "tags" },
    names.map(([name, count]) => element("li", {}, quoted(name), element("span", { class: "quiet" }, ` ${count}`))),
  ));
}

function note(text) {
  return text ? element("p", { class: "notice" }, sentence(text)) : undefined;
}

function heading(level, title) {
  return element(level, level === "h1" ? { tabindex: "-1" } : {}, title);
}

function separated(made) {
  return made.flatMap((each, at) => (at === 0 ? [each] : [", ", each]));
}
