"use strict";
// Shows the packed hosts page by page. Everything a target wrote goes through textContent: nothing is parsed as markup.
(() => {
  const PAGE = 100, PRINTED = 2000;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { fields, strings, statuses, stages, results } = data.tables;
  const began = Date.parse(data.tables.began);
  const SHARED = new Set(["code", "message", "remedy", "next", "account", "way", "site", "version"]);
  const place = Object.fromEntries(fields.map((name, at) => [name, at]));
  const get = (row, name) => SHARED.has(name) ? strings[row[place[name]]] : row[place[name]];
  const byId = (id) => document.getElementById(id);
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const el = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") made.textContent = value;
      else if (value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const dot = (status) => el("span", { class: `dot s-${status}`, "aria-hidden": "true" });
  const count = (number) => number.toLocaleString("en");
  const duration = (ms) => {
    const s = ms / 1000;
    if (s < 9.995) return `${s.toFixed(2)} s`;
    const whole = Math.round(s);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  };
  const size = (bytes) => {
    if (bytes < 1024) return `${bytes} bytes`;
    let value = bytes / 1024, unit = 0;
    while (value >= 1023.95 && unit < 3) { value /= 1024; unit += 1; }
    return `${value.toFixed(1)} ${["KB", "MB", "GB", "TB"][unit]}`;
  };
  const moment = (ms) => {
    const date = new Date(began + ms);
    return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(0, 19).replace("T", " ");
  };

  const hosts = data.rows.map((row) => ({
    row,
    hay: [row[0], row[1], row[2], ...["site", "code", "message", "account", "version"].map((n) => get(row, n)),
      statuses[get(row, "status")].name, stages[get(row, "stage")].name].join("\n").toLowerCase(),
  }));
  const status = (row) => statuses[get(row, "status")];
  const stage = (row) => stages[get(row, "stage")];
  const why = (row) => status(row).ok ? get(row, "version") : (get(row, "code") || stage(row).name);
  // What needs work comes first where nothing else is asked.
  const weight = (row) => ({ failed: 0, unreachable: 1, cancelled: 2, skipped: 3 })[status(row).name] ?? 4;

  const COLUMNS = [
    { key: "host", title: "Host", of: (r) => r[0], text: true },
    { key: "status", title: "Status", of: (r) => weight(r) * 10 + get(r, "status") },
    { key: "why", title: "Version or cause", of: why, text: true },
    { key: "site", title: "Site", of: (r) => get(r, "site"), text: true },
    { key: "account", title: "Account", of: (r) => get(r, "account"), text: true },
    { key: "took", title: "Took", of: (r) => get(r, "ms") },
    { key: "ended", title: "Ended (UTC)", of: (r) => get(r, "end") },
  ];
  const CLEAN = { q: "", status: "", code: "", site: "", account: "", sort: "status", down: "", page: 0 };
  const state = { ...CLEAN };
  const open = new Set();
  let shown = hosts;

  const filtered = () => {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    return hosts.filter(({ row, hay }) =>
      (!state.status || status(row).name === state.status)
      && (!state.code || get(row, "code") === state.code)
      && (!state.site || get(row, "site") === state.site)
      && (!state.account || get(row, "account") === state.account)
      && words.every((word) => hay.includes(word)));
  };
  const sorted = (list) => {
    const column = COLUMNS.find(({ key }) => key === state.sort) ?? COLUMNS[1];
    const sign = state.down ? -1 : 1;
    const keyed = list.map((host) => [column.of(host.row), host]);
    keyed.sort((a, b) => sign * (column.text ? collator.compare(a[0], b[0]) : a[0] - b[0])
      || collator.compare(a[1].row[0], b[1].row[0]));
    return keyed.map(([, host]) => host);
  };

  // --- one host -------------------------------------------------------------------------------------------------
  const VERDICT = { pass: "good", fail: "bad", unprovable: "doubt", "not-needed": "dull" };
  const pair = (name, value) => value ? [el("dt", { text: name }), el("dd", { text: value })] : [];
  const details = (row) => {
    const left = el("div"), right = el("div");
    const message = get(row, "message"), remedy = get(row, "remedy");
    const end = status(row);
    if (message) left.append(el("p", { class: "problem", text: message }));
    if (remedy) left.append(el("p", { class: "remedy" }, el("b", { text: "Remedy" }), ` ${remedy}`));
    const facts = el("dl");
    const stopped = end.ok ? "" : `${stage(row).name}: ${stage(row).words}`;
    facts.append(
      ...pair("Address", row[1]), ...pair("Says it is", row[2]), ...pair("Site", get(row, "site")),
      ...pair("Stopped at", stopped), ...pair("Account", get(row, "account")),
      ...pair("By", get(row, "way")), ...pair("Version", get(row, "version")),
      ...pair("Started", `${moment(get(row, "start"))} UTC`), ...pair("Ended", `${moment(get(row, "end"))} UTC`),
      ...pair("Took", duration(get(row, "ms"))),
      ...pair("Attempts", get(row, "attempts") > 1 ? String(get(row, "attempts")) : ""),
      ...pair("Copied", get(row, "bytes") ? size(get(row, "bytes")) : ""));
    left.append(facts);
    if ((end.name === "failed" || end.name === "unreachable") && get(row, "next")) {
      left.append(el("p", { class: "note", text: `pusher ${get(row, "next")}.` }));
    }
    const tried = get(row, "tried");
    if (tried.length) {
      right.append(el("h4", { text: "Accounts, in the order tried" }), el("ol", {}, ...tried.map(([account, code]) =>
        el("li", {}, `${strings[account]}: `, el("span", code
          ? { class: "bad", text: strings[code] } : { class: "good", text: "got all it needed" })))));
    }
    const checks = get(row, "checks");
    if (checks.length) {
      right.append(el("h4", { text: "Checks" }), el("table", {}, el("tbody", {}, ...checks.map(([check, result, evidence]) =>
        el("tr", {}, el("td", { text: strings[check] }),
          el("td", { class: VERDICT[results[result].name], text: results[result].words }),
          el("td", { text: strings[evidence] }))))));
    }
    const steps = get(row, "steps");
    if (steps.length) {
      const longest = Math.max(1, ...steps.map(([, ms]) => ms));
      right.append(el("h4", { text: "Where the time went" }), el("table", { class: "steps" }, el("tbody", {}, ...steps.map(([step, ms]) => {
        const bar = el("i");
        bar.style.width = `${Math.max(0, 100 * ms / longest)}%`;
        return el("tr", {}, el("td", { text: strings[step] }), el("td", { class: "number", text: duration(ms) }), el("td", {}, bar));
      }))));
    }
    if (!right.childNodes.length) right.append(el("p", { class: "note", text: "Nothing was tried on this host." }));
    return el("div", { class: "panel" }, left, right);
  };

  const panelRow = (row, id) => el("tr", { class: "details", id, role: "row" },
    el("td", { colspan: COLUMNS.length, role: "cell" }, details(row)));
  const hostRows = (host, at) => {
    const { row } = host, id = `details-${at}`;
    const end = status(row);
    const name = el("button", { type: "button", class: "name", "aria-expanded": String(open.has(host)), "aria-controls": id },
      el("bdi", { text: row[0] }));
    // The roles are said because narrow screens lay the table out as cards, and some browsers then forget them.
    const cell = (name, ...children) => el("td", { class: name, role: "cell" }, ...children);
    const tr = el("tr", { class: "host", role: "row" },
      el("th", { scope: "row", class: "c-host", role: "rowheader" }, name),
      cell("status", dot(end.name), end.name),
      cell("c-why", why(row)),
      cell("c-site", get(row, "site")),
      cell("c-account", get(row, "account")),
      cell("number c-took", duration(get(row, "ms"))),
      cell("number c-ended", moment(get(row, "end")).slice(11)));
    const toggle = (wanted) => {
      if (wanted === open.has(host)) return;
      if (wanted) { open.add(host); tr.after(panelRow(row, id)); } else { open.delete(host); tr.nextSibling.remove(); }
      tr.classList.toggle("open", wanted);
      name.setAttribute("aria-expanded", String(wanted));
    };
    name.addEventListener("click", () => toggle(!open.has(host)));
    name.addEventListener("keydown", (event) => {
      if (event.key === "Escape") toggle(false);
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const names = [...document.querySelectorAll(".name")];
        names[names.indexOf(name) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
      } else return;
      event.preventDefault();
    });
    tr.classList.toggle("open", open.has(host));
    return open.has(host) ? [tr, panelRow(row, id)] : [tr];
  };

  // --- the table ------------------------------------------------------------------------------------------------
  const body = document.querySelector("#table tbody"), head = document.querySelector("#table thead tr");
  for (const column of COLUMNS) {
    const button = el("button", { type: "button", text: column.title });
    button.addEventListener("click", () => {
      state.down = state.sort === column.key && !state.down ? "1" : "";
      state.sort = column.key;
      go({ page: 0 });
    });
    column.cell = el("th", { scope: "col", role: "columnheader", class: `c-${column.key}` }, button);
    column.button = button;
    head.append(column.cell);
  }
  const draw = (from, to) => body.replaceChildren(...shown.slice(from, to).flatMap((host, at) => hostRows(host, at)));
  const show = () => {
    shown = sorted(filtered());
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const from = state.page * PAGE;
    draw(from, from + PAGE);
    byId("found").textContent = shown.length === hosts.length
      ? `${count(hosts.length)} hosts` : `${count(shown.length)} of ${count(hosts.length)} hosts`;
    byId("page").textContent = `Page ${count(state.page + 1)} of ${count(pages)}`;
    byId("previous").disabled = state.page === 0;
    byId("next").disabled = state.page === pages - 1;
    byId("clear").disabled = ["q", "status", "code", "site", "account"].every((name) => !state[name]);
    for (const { key, cell, button, title } of COLUMNS) {
      const active = key === state.sort;
      button.textContent = title + (active ? (state.down ? " ↓" : " ↑") : "");
      if (active) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    for (const button of document.querySelectorAll(".pick")) {
      button.setAttribute("aria-pressed", String(button.dataset.status === state.status));
    }
  };
  const controls = { q: byId("search"), status: byId("by-status"), code: byId("by-code"), site: byId("by-site"), account: byId("by-account") };
  const go = (change, reveal = false) => {
    Object.assign(state, change);
    for (const [name, control] of Object.entries(controls)) if (control.value !== state[name]) control.value = state[name];
    show();
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (value !== CLEAN[name]) kept.set(name, value);
    // A link to what is shown; some viewers forbid it, and the page does without.
    try { history.replaceState(null, "", `#${kept}`); } catch { /* no matter */ }
    if (reveal) {
      byId("hosts").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      byId("search").focus({ preventScroll: true });
    }
  };

  const fill = (select, read) => {
    const seen = new Map();
    for (const { row } of hosts) { const value = read(row); if (value) seen.set(value, (seen.get(value) ?? 0) + 1); }
    for (const [value, many] of [...seen].sort((a, b) => collator.compare(a[0], b[0]))) {
      select.append(el("option", { value, text: `${value} (${count(many)})` }));
    }
    select.closest("label").hidden = seen.size < 2 && select.id !== "by-status";
  };
  fill(controls.status, (row) => status(row).name);
  fill(controls.code, (row) => get(row, "code"));
  fill(controls.site, (row) => get(row, "site"));
  fill(controls.account, (row) => get(row, "account"));
  for (const [name, control] of Object.entries(controls)) {
    control.addEventListener("input", () => go({ [name]: control.value, page: 0 }));
  }
  byId("clear").addEventListener("click", () => { go({ ...CLEAN }); byId("search").focus(); });
  byId("previous").addEventListener("click", () => go({ page: state.page - 1 }));
  byId("next").addEventListener("click", () => go({ page: state.page + 1 }));
  byId("copy").addEventListener("click", async () => {
    const text = shown.map(({ row }) => row[0]).join("\n") + "\n";
    let done = true;
    try { await navigator.clipboard.writeText(text); } catch {
      const area = el("textarea", { class: "unseen" });
      area.value = text;
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    byId("found").textContent = done ? `${count(shown.length)} host names copied` : "The browser did not allow copying";
  });
  for (const button of document.querySelectorAll(".pick")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const same = state.status === button.dataset.status;
      go({ ...CLEAN, status: same ? "" : button.dataset.status }, !same);
    });
  }
  for (const button of document.querySelectorAll(".show")) {
    button.addEventListener("click", () => go({ ...CLEAN, code: button.dataset.code }, true));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey
        && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  addEventListener("beforeprint", () => {
    draw(0, PRINTED);
    if (shown.length > PRINTED) byId("found").textContent = `The first ${count(PRINTED)} of ${count(shown.length)} hosts`;
  });
  addEventListener("afterprint", show);

  // --- pace and sites -------------------------------------------------------------------------------------------
  const KINDS = [["installed", (s) => s.ok, "ended well"], ["failed", (s) => s.name === "failed", "failed"],
    ["unreachable", (s) => s.name === "unreachable", "unreachable"], ["skipped", () => true, "left out or cancelled"]];
  const kind = (row) => KINDS.findIndex(([, is]) => is(status(row)));
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const pace = () => {
    const ends = hosts.map(({ row }) => get(row, "end"));
    const [first, last] = ends.reduce(([a, b], e) => [Math.min(a, e), Math.max(b, e)], [Infinity, -Infinity]);
    const BUCKETS = 60;
    if (hosts.length < 20 || last - first < 1000) return;
    const buckets = Array.from({ length: BUCKETS }, () => KINDS.map(() => 0));
    const width = (last - first) / BUCKETS;
    for (const { row } of hosts) buckets[Math.min(BUCKETS - 1, Math.floor((get(row, "end") - first) / width))][kind(row)] += 1;
    const most = Math.max(...buckets.map((b) => b.reduce((x, y) => x + y)));
    const chart = svg("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", role: "img", "aria-labelledby": "pace-title pace-note" });
    buckets.forEach((bucket, at) => {
      let top = 100;
      const told = KINDS.map(([, , words], k) => bucket[k] ? `${count(bucket[k])} ${words}` : "").filter(Boolean).join(", ");
      const group = svg("g", {}, svg("title", {}, `${moment(first + at * width).slice(11)}: ${told || "none"}`));
      bucket.forEach((many, k) => {
        const height = 100 * many / most;
        top -= height;
        if (many) group.append(svg("rect", { class: `bar s-${KINDS[k][0]}`, x: at * 10, y: top, width: 8.6, height }));
      });
      chart.append(group);
    });
    byId("pace").append(chart);
    byId("pace-note").textContent = `Hosts ended, from ${moment(first).slice(11)} to ${moment(last).slice(11)} UTC; `
      + `at most ${count(most)} in ${duration(width)}. Median time a host: ${duration(median(hosts.map(({ row }) => get(row, "ms"))))}.`;
    byId("pace").closest(".card").hidden = false;
  };
  const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
  const sites = () => {
    const seen = new Map();
    for (const { row } of hosts) {
      const site = get(row, "site");
      if (!site) continue;
      if (!seen.has(site)) seen.set(site, KINDS.map(() => 0));
      seen.get(site)[kind(row)] += 1;
    }
    if (seen.size < 2) return;
    // The sites with the most trouble first.
    const trouble = (counts) => counts[1] + counts[2];
    for (const [site, counts] of [...seen].sort((a, b) => trouble(b[1]) - trouble(a[1]) || collator.compare(a[0], b[0]))) {
      const total = counts.reduce((x, y) => x + y);
      const strip = el("span", { class: "strip", "aria-hidden": "true" }, ...KINDS.map(([name], k) => {
        const piece = el("i", { class: `s-${name}` });
        piece.style.width = `${100 * counts[k] / total}%`;
        return piece;
      }));
      const told = trouble(counts) ? `${count(trouble(counts))} of ${count(total)} need work` : `${count(total)} hosts`;
      const button = el("button", { type: "button" }, el("bdi", { text: site }), strip, el("span", { class: "note", text: told }));
      button.addEventListener("click", () => go({ ...CLEAN, site }, true));
      byId("sites").append(el("li", {}, button));
    }
    byId("sites").closest(".card").hidden = false;
  };

  for (const part of document.querySelectorAll(".scripted:not(.card)")) part.hidden = false;
  pace();
  sites();
  const asked = new URLSearchParams(location.hash.slice(1));
  const wanted = {};
  for (const name of Object.keys(CLEAN)) if (asked.has(name)) wanted[name] = name === "page" ? Number(asked.get(name)) || 0 : asked.get(name);
  // A filter that this report does not have would show nothing and could not be seen in its list.
  for (const name of ["status", "code", "site", "account"]) {
    if (wanted[name] && ![...controls[name].options].some((option) => option.value === wanted[name])) delete wanted[name];
  }
  go(wanted);
})();
