// The catalogue: what data/*.js hold, shown by the address after `#`. Files are loaded as scripts, which also works
// where the pages are opened from a disk. A node is its place in `nodes`: [kind, name, label, description, owner].
"use strict";

const KINDS = {
  metric: ["Metric", "Metrics"], dimension: ["Dimension", "Dimensions"], entity: ["Entity", "Entities"],
  measure: ["Measure", "Measures"], saved_query: ["Saved query", "Saved queries"], bi_view: ["BI view", "BI views"],
  feature_view: ["Feature view", "Feature views"], feature: ["Feature", "Features"], input: ["Request input", "Request inputs"],
  feature_service: ["Feature service", "Feature services"], exposure: ["Exposure", "Exposures"],
  model: ["dbt model", "dbt models"], snapshot: ["Snapshot", "Snapshots"], seed: ["Seed", "Seeds"],
  source: ["Source", "Sources"], column: ["Column", "Columns"],
};
const PARTS = new Set(["feature", "column", "input", "entity"]);  // named after what they are a part of
const IN_COLUMN = 40;
let site, names, edges = null;
const details = new Map(), waiting = new Map();

// ---- data

const gemel = {
  index(told) { site = told; begin(); },
  edges(told) { edges = neighbours(told); },
  details(told) { for (const [node, detail] of Object.entries(told)) details.set(Number(node), detail); },
};

function load(file) {
  if (!waiting.has(file)) {
    waiting.set(file, new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = file;
      script.onload = done;
      script.onerror = () => failed(new Error(`${file} is not there: write the catalogue again with \`gemel docs\``));
      document.head.append(script);
    }));
  }
  return waiting.get(file);
}

async function detail(node) {
  await load(`data/details-${Math.floor(node / site.chunk)}.js`);
  return details.get(node) ?? {};
}

// Triples of source, target and 1 for an indirect influence, to lists by node.
function neighbours(flat) {
  const up = new Map(), down = new Map();
  const add = (map, key, entry) => map.has(key) ? map.get(key).push(entry) : map.set(key, [entry]);
  for (let i = 0; i < flat.length; i += 3) {
    add(up, flat[i + 1], [flat[i], flat[i + 2]]);
    add(down, flat[i], [flat[i + 1], flat[i + 2]]);
  }
  return {up, down};
}

// ---- elements

const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined));
  return made;
}

const address = node => `#/${site.nodes[node][0]}/${encodeURIComponent(site.nodes[node][1])}`;
const badge = kind => element("span", {class: `kind k-${kind}`}, KINDS[kind]?.[0] ?? kind);
// A long name may break after its dots and underscores.
const link = (node, name = site.nodes[node][1]) => element("a", {href: address(node)}, name.split(/(?<=[._])(?=[^._])/).flatMap(part => [part, element("wbr")]));

// ---- pages

function begin() {
  names = new Map(site.nodes.map(([kind, name], node) => [`${kind}/${name}`, node]));
  document.getElementById("project").textContent = site.project;
  document.getElementById("made").textContent = `Made by gemel docs on ${site.made}.`;
  const counts = new Map();
  for (const [kind] of site.nodes) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  site.counts = Object.keys(KINDS).filter(kind => counts.has(kind)).map(kind => [kind, counts.get(kind)]);
  document.getElementById("kinds").append(...site.counts.map(([kind, count]) =>
    element("li", {}, element("a", {href: `#/${kind}`}, KINDS[kind][1], element("span", {}, count.toLocaleString("en"))))));
  addEventListener("hashchange", () => show(true));
  show(false);
}

async function show(moved) {
  const [kind, name] = location.hash.replace(/^#\/?/, "").split("/").map(part => decodeURIComponent(part));
  const main = document.getElementById("content");
  let page, heading = site.project;
  try {
    if (!kind) page = front();
    else if (!(kind in KINDS)) page = missing();
    else if (name === undefined) { page = list(kind); heading = KINDS[kind][1]; }
    else if (!names.has(`${kind}/${name}`)) page = missing();
    else { page = await thing(names.get(`${kind}/${name}`)); heading = `${name}, ${KINDS[kind][0].toLowerCase()}`; }
  } catch (error) {
    page = [element("h1", {}, "This page cannot be shown"), element("p", {}, error.message)];
  }
  main.replaceChildren(...page);
  document.title = heading === site.project ? heading : `${heading} - ${site.project}`;
  for (const each of document.querySelectorAll("#kinds a"))
    each.getAttribute("href") === `#/${kind}` ? each.setAttribute("aria-current", "page") : each.removeAttribute("aria-current");
  if (moved) { main.focus({preventScroll: true}); scrollTo(0, 0); say(heading); }
}

function front() {
  return [
    element("h1", {}, site.project),
    site.description ? element("p", {class: "lead"}, site.description) : null,
    element("ul", {class: "cards"}, site.counts.map(([kind, count]) =>
      element("li", {class: `k-${kind}`}, element("a", {href: `#/${kind}`}, element("b", {}, count.toLocaleString("en")), KINDS[kind][1])))),
    site.gaps.length ? element("h2", {}, "Where lineage is not known by columns") : null,
    site.gaps.length ? element("details", {}, element("summary", {}, site.gaps.length === 1 ? "1 place" : `${site.gaps.length} places`),
      element("ul", {}, site.gaps.map(([node, reason]) => element("li", {}, link(node), ": ", reason)))) : null,
  ].filter(Boolean);
}

function missing() {
  return [element("h1", {}, "Nothing has this name"), element("p", {}, "It may have been renamed or removed. ", element("a", {href: "#/"}, "All there is"))];
}

function list(kind) {
  const nodes = [...site.nodes.keys()].filter(node => site.nodes[node][0] === kind);
  const owned = nodes.some(node => site.nodes[node][4]);
  const rows = element("tbody", {}, nodes.map(node => {
    const [, , label, description, owner] = site.nodes[node];
    return element("tr", {}, element("td", {}, link(node)), element("td", {}, sentence(label, description)), owned ? element("td", {}, owner ?? "") : null);
  }));
  const filter = element("input", {class: "filter", type: "search", id: "filter", placeholder: "Filter", oninput: () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    [...rows.children].forEach((row, i) => {
      row.hidden = !words.every(word => site.nodes[nodes[i]].slice(1).join(" ").toLowerCase().includes(word));
      shown += !row.hidden;
    });
    say(`${shown} of ${nodes.length} shown`);
  }});
  return [
    element("h1", {}, KINDS[kind][1]),
    element("p", {}, element("label", {class: "unseen", for: "filter"}, `Filter ${KINDS[kind][1].toLowerCase()}`), filter),
    element("div", {class: "many"}, element("table", {}, element("thead", {}, element("tr", {},
      element("th", {scope: "col"}, "Name"), element("th", {scope: "col"}, "What it is"), owned ? element("th", {scope: "col"}, "Owner") : null)), rows)),
  ];
}

const sentence = (label, description) => [label, description].filter(Boolean).join(": ");

async function thing(node) {
  const [kind, name, label, description] = site.nodes[node];
  const told = await detail(node);
  await load("data/edges.js");
  return [
    badge(kind), element("h1", {}, name),
    label && label !== name ? element("p", {class: "lead"}, label) : null,
    description ? element("p", {class: "lead"}, description) : null,
    told.facts?.length ? element("dl", {}, told.facts.map(([term, value]) => [element("dt", {}, term), element("dd", {}, shown(value))])) : null,
    told.series ? chart(told.series, name) : null,
    told.refused ? element("p", {}, told.refused) : null,
    list_of("Can be grouped by", told.groups ?? []),
    ...(told.lists ?? []).map(each => names_of(each.title, each.nodes, name)),
    ...graph(node),
    told.sql ? element("h2", {}, told.sql_title ?? "SQL") : null,
    told.sql ? element("pre", {tabindex: 0}, element("code", {}, told.sql)) : null,
  ].filter(Boolean);
}

function shown(value) {
  if (Array.isArray(value)) return value.flatMap((each, i) => i ? [", ", shown(each)] : [shown(each)]);
  if (value !== null && typeof value === "object") {
    if ("node" in value) return link(value.node);
    if ("code" in value) return element("code", {}, value.code);
    if ("url" in value) return element("a", {href: value.url, rel: "noreferrer"}, value.url);
  }
  return String(value);
}

// What is a part of `whole` goes by its own name.
function names_of(heading, nodes, whole) {
  const own = node => site.nodes[node][1].startsWith(`${whole}.`) ? site.nodes[node][1].slice(whole.length + 1) : site.nodes[node][1];
  return list_of(heading, nodes.map(node => [own(node), node]));
}

function list_of(heading, links) {
  if (!links.length) return null;
  return element("section", {}, element("h2", {}, heading), element("ul", {class: "names"}, links.map(([name, node]) => element("li", {}, link(node, name)))));
}

// ---- a chart of one number over time

function chart(series, name) {
  const {grain, points} = series, known = points.filter(([, value]) => value !== null);
  if (!known.length) return null;
  const width = 900, height = 240, left = 70, right = 20, top = 12, bottom = 30;
  const values = known.map(([, value]) => value);
  const [low, high, step] = ticks(Math.min(...values), Math.max(...values));
  const times = points.map(([time]) => Date.parse(time));
  const x = time => left + (width - left - right) * (times.length > 1 ? (time - times[0]) / (times.at(-1) - times[0]) : .5);
  const y = value => top + (height - top - bottom) * (1 - (value - low) / (high - low || 1));
  const lines = [];
  for (let tick = low; tick <= high + step / 2; tick += step) lines.push(tick);
  const stretches = [[]];
  points.forEach(([, value], i) => value === null ? stretches.push([]) : stretches.at(-1).push([x(times[i]), y(value)]));
  const every = Math.max(1, Math.ceil(points.length / 7));
  const first = known[0], last = known.at(-1);
  const said = `${name} by ${grain} from ${first[0]} (${number(first[1])}) to ${last[0]} (${number(last[1])}); least ${number(Math.min(...values))}, greatest ${number(Math.max(...values))}`;
  const picture = drawn("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said},
    lines.map(tick => [drawn("line", {class: "axis", x1: left, x2: width - right, y1: y(tick), y2: y(tick)}),
      drawn("text", {x: left - 8, y: y(tick) + 4, "text-anchor": "end"}, number(tick))]),
    points.map(([time], i) => i % every ? null : drawn("text", {x: x(times[i]), y: height - 8, "text-anchor": "middle"}, time)),
    stretches.filter(part => part.length > 1).map(part => drawn("path", {class: "line", d: `M${part.map(p => p.map(n => n.toFixed(1)).join(" ")).join("L")}`})),
    points.map(([time, value], i) => value === null ? null : drawn("circle", {class: "point", cx: x(times[i]), cy: y(value), r: points.length > 60 ? 1.5 : 2.5},
      drawn("title", {}, `${time}: ${number(value)}`))));
  return element("section", {}, element("h2", {}, `The last year with facts, by ${grain}`), element("div", {class: "chart"}, picture),
    element("details", {}, element("summary", {}, "As a table"), element("table", {}, element("thead", {}, element("tr", {},
      element("th", {scope: "col"}, grain), element("th", {scope: "col", class: "number"}, name))),
      element("tbody", {}, points.map(([time, value]) => element("tr", {}, element("td", {}, time), element("td", {class: "number"}, value === null ? "" : String(value))))))));
}

function ticks(low, high) {
  if (low > 0 && low < .6 * high) low = 0;
  if (low === high) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(n => n * power).find(n => n >= rough);
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step, step];
}

const number = value => Math.abs(value) >= 1000 || Number.isInteger(value)
  ? value.toLocaleString("en", {maximumFractionDigits: 0, notation: Math.abs(value) >= 1e7 ? "compact" : "standard"})
  : value.toLocaleString("en", {maximumSignificantDigits: 4});

// ---- lineage: the node in the middle, what it comes from to its left, what comes of it to its right

function graph(node) {
  const depths = {up: 2, down: 2};
  const holder = element("div", {class: "graph", tabindex: 0, role: "group", "aria-label": `Lineage of ${site.nodes[node][1]}`});
  const buttons = {};
  const count = {up: reach(node, edges.up), down: reach(node, edges.down)};
  const redraw = () => {
    holder.replaceChildren(picture(node, depths));
    for (const side of ["up", "down"]) buttons[side].disabled = depths[side] >= count[side].depth;
    holder.querySelector(".focus").scrollIntoView?.({block: "nearest", inline: "center"});
  };
  for (const [side, words] of [["up", "One step further back"], ["down", "One step further on"]])
    buttons[side] = element("button", {type: "button", onclick: () => { depths[side] += 1; redraw(); say(`${depths[side]} steps shown`); }}, words);
  if (!count.up.nodes.length && !count.down.nodes.length) return [];
  redraw();
  return [
    element("h2", {}, "Lineage"),
    element("p", {class: "tools"}, buttons.up, buttons.down, `From ${count.up.nodes.length} on the left, to ${count.down.nodes.length} on the right. Dashed: decides which rows count, not their value.`),
    holder,
    element("details", {}, element("summary", {}, "Lineage as lists"), sides("It comes from", count.up.nodes), sides("It goes to", count.down.nodes)),
  ];
}

function sides(heading, nodes) {
  if (!nodes.length) return null;
  const kinds = Object.keys(KINDS).filter(kind => nodes.some(node => site.nodes[node][0] === kind));
  return element("section", {}, element("h3", {}, heading), kinds.map(kind => element("section", {}, element("h4", {}, KINDS[kind][1]),
    element("ul", {class: "names"}, nodes.filter(node => site.nodes[node][0] === kind).map(node => element("li", {}, link(node)))))));
}

function reach(node, map) {
  const seen = new Map([[node, 0]]);
  for (const each of seen.keys()) for (const [next] of map.get(each) ?? []) if (!seen.has(next)) seen.set(next, seen.get(each) + 1);
  seen.delete(node);
  return {nodes: [...seen.keys()], depth: Math.max(0, ...seen.values())};
}

// What is within some steps of a node, in columns: each one farther from the node than all that lie between.
function layers(node, map, back, depth) {
  const seen = new Map([[node, 0]]);
  for (const each of seen.keys())
    if (seen.get(each) < depth) for (const [next] of map.get(each) ?? []) if (!seen.has(next)) seen.set(next, seen.get(each) + 1);
  const far = new Map([[node, 0]]);
  const distance = each => {
    if (!far.has(each)) {
      far.set(each, 1);  // in a circle, which a broken manifest can hold, this stands
      far.set(each, 1 + Math.max(...(back.get(each) ?? []).filter(([next]) => seen.has(next)).map(([next]) => distance(next))));
    }
    return far.get(each);
  };
  const found = [];
  for (const each of seen.keys()) if (each !== node) (found[distance(each) - 1] ??= []).push(each);
  return found.filter(Boolean);
}

function picture(node, depths) {
  const width = 200, height = 42, gap = 60, space = 10;
  const columns = [...layers(node, edges.up, edges.down, depths.up).reverse(), [node], ...layers(node, edges.down, edges.up, depths.down)];
  const middle = columns.findIndex(column => column.length === 1 && column[0] === node);
  const places = new Map();
  const more = columns.map(column => Math.max(0, column.length - IN_COLUMN));
  const order = (column, beside) => {
    const place = each => {
      const near = [...(edges.up.get(each) ?? []), ...(edges.down.get(each) ?? [])].map(([next]) => beside.indexOf(next)).filter(i => i >= 0);
      return near.length ? near.reduce((a, b) => a + b) / near.length : beside.length;
    };
    const sorted = column.map(each => [place(each), each]).sort((a, b) => a[0] - b[0]).map(([, each]) => each);
    column.splice(0, column.length, ...sorted.slice(0, IN_COLUMN));
  };
  for (let i = middle - 1; i >= 0; i -= 1) order(columns[i], columns[i + 1]);
  for (let i = middle + 1; i < columns.length; i += 1) order(columns[i], columns[i - 1]);
  const tall = Math.max(...columns.map((column, i) => column.length + (more[i] ? 1 : 0))) * (height + space) + space;
  columns.forEach((column, i) => {
    const used = column.length * (height + space) - space;
    column.forEach((each, row) => places.set(each, [20 + i * (width + gap), (tall - used) / 2 + row * (height + space)]));
  });
  const paths = [];
  for (const [target, [tx, ty]] of places)
    for (const [source, indirect] of edges.up.get(target) ?? []) {
      if (!places.has(source)) continue;
      const [sx, sy] = places.get(source), from = sx + width, bend = Math.max(30, Math.abs(tx - from) / 2);
      paths.push(drawn("path", {class: indirect ? "indirect" : null,
        d: `M${from} ${sy + height / 2}C${from + bend} ${sy + height / 2} ${tx - bend} ${ty + height / 2} ${tx} ${ty + height / 2}`}));
    }
  const boxes = [...places].map(([each, [x, y]]) => {
    const [kind, name] = site.nodes[each];
    const [whole, own] = PARTS.has(kind) ? [name.slice(0, name.lastIndexOf(".")), name.slice(name.lastIndexOf(".") + 1)] : ["", name];
    return drawn("a", {href: address(each), class: `k-${kind}${each === node ? " focus" : ""}`, "aria-label": `${KINDS[kind]?.[0] ?? kind} ${name}`},
      drawn("title", {}, name), drawn("rect", {x, y, width, height, rx: 6}),
      drawn("text", {class: "caption", x: x + 10, y: y + 15}, short(whole ? `${KINDS[kind][0]} of ${whole}` : KINDS[kind]?.[0] ?? kind, 34)),
      drawn("text", {x: x + 10, y: y + 32}, short(own, 27)));
  });
  const rest = more.map((count, i) => count ? drawn("text", {class: "more", x: 30 + i * (width + gap), y: tall - 8}, `and ${count} more, in the lists`) : null);
  return drawn("svg", {width: columns.length * (width + gap) - gap + 40, height: tall}, paths, boxes, rest.filter(Boolean));
}

const short = (name, most) => name.length <= most ? name : `${name.slice(0, Math.ceil(most / 2) - 1)}…${name.slice(-Math.floor(most / 2))}`;

// ---- search

const box = document.getElementById("search"), found = document.getElementById("found");
let results = [], picked = -1;

function rank(words, [kind, name, label, description]) {
  const low = name.toLowerCase(), text = `${low} ${label ?? ""} ${description ?? ""}`.toLowerCase();
  if (!words.every(word => text.includes(word))) return -1;
  const word = words.join("_");
  const how = low === word ? 0 : low.startsWith(word) ? 1 : words.every(each => low.includes(each)) ? 2 : 3;
  return how * 100 + Object.keys(KINDS).indexOf(kind) * 4 + Math.min(3, low.length / 20);
}

function search() {
  const words = box.value.toLowerCase().split(/[\s_]+/).filter(Boolean);
  results = !words.length ? [] : site.nodes.map((each, node) => [rank(words, each), node]).filter(([how]) => how >= 0).sort((a, b) => a[0] - b[0]).map(([, node]) => node);
  picked = results.length ? 0 : -1;
  found.replaceChildren(...results.slice(0, 30).map((node, i) => element("li", {role: "option", id: `found-${i}`, "aria-selected": i === 0,
    onmousedown: event => { event.preventDefault(); go(i); }}, badge(site.nodes[node][0]), " ", site.nodes[node][1],
    element("small", {}, sentence(site.nodes[node][2], site.nodes[node][3])))));
  if (words.length && !results.length) found.replaceChildren(element("li", {role: "option", "aria-disabled": "true"}, "Nothing has these words"));
  open(words.length > 0);
  if (words.length) say(results.length === 1 ? "1 found" : `${results.length} found`);
}

function open(is) {
  found.hidden = !is;
  box.setAttribute("aria-expanded", is);
  picked >= 0 && is ? box.setAttribute("aria-activedescendant", `found-${picked}`) : box.removeAttribute("aria-activedescendant");
}

function pick(next) {
  const items = [...found.querySelectorAll("[aria-selected]")];
  if (!items.length) return;
  picked = (next + items.length) % items.length;
  items.forEach((item, i) => item.setAttribute("aria-selected", i === picked));
  items[picked].scrollIntoView({block: "nearest"});
  open(true);
}

function go(i) {
  const node = results[i];
  if (node === undefined) return;
  box.value = "";
  open(false);
  box.blur();
  location.hash = address(node);
}

function say(words) { document.getElementById("said").textContent = words; }

box.addEventListener("input", search);
box.addEventListener("focus", () => box.value && search());
box.addEventListener("blur", () => open(false));
box.addEventListener("keydown", event => {
  const does = {ArrowDown: () => pick(picked + 1), ArrowUp: () => pick(picked - 1), Enter: () => go(picked), Escape: () => { box.value = ""; open(false); }}[event.key];
  if (does) { event.preventDefault(); does(); }
});
addEventListener("keydown", event => {
  if (event.key === "/" && !event.target.closest?.("input, textarea") && !event.ctrlKey && !event.metaKey) { event.preventDefault(); box.focus(); }
});
document.querySelector("[data-skip]").addEventListener("click", event => { event.preventDefault(); document.getElementById("content").focus(); });
