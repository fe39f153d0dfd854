"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const NONE = "none", MINUS = "\u2212", PAGE = 25;
  const $ = (id) => document.getElementById(id);
  const SYNTHETIC = D.synthetic ? " (synthetic data)" : "";

  // ---- elements: texts are set as text, never as markup ---------------------------------------------------------
  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }
  const fill = (place, ...children) => place.replaceChildren(...children.flat().filter((child) => child !== null));
  function facts(pairs) {
    const list = el("dl", { class: "facts" });
    for (const [name, value] of pairs) if (value !== null && value !== "") list.append(el("dt", {}, name), el("dd", {}, value));
    return list;
  }
  function choices(name, title, options, chosen, changed) {
    const set = el("fieldset", {}, el("legend", {}, title));
    for (const [value, text] of options)
      set.append(el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => changed(value) }), " ", text));
    return set;
  }
  function dropdown(id, title, groups, chosen, changed) {
    const list = el("select", { id, onchange: (event) => changed(event.target.value) });
    for (const [label, options] of groups) {
      const items = options.map(([value, text]) => el("option", { value, selected: value === chosen }, text));
      list.append(...(label ? [el("optgroup", { label }, items)] : items));
    }
    return el("label", { for: id }, title + " ", list);
  }

  // ---- numbers: rounded half up from the four decimals of the tables ---------------------------------------------
  function points(value, signed) {
    const tenths = Math.floor((Math.round(Math.abs(value) * 1e4) + 500) / 1000);
    if (!tenths) return "0.0";
    return (value < 0 ? MINUS : signed ? "+" : "") + (tenths / 10).toFixed(1);
  }
  const interval = (cell) => `[${points(cell.low, true)}, ${points(cell.high, true)}]`;
  const known = (value) => value !== null && value !== undefined;
  const small = (p) => (p === null ? "–" : p === 0 ? "0" : p < 0.001 ? p.toExponential(1).replace("-", MINUS) : String(Number(p.toPrecision(2))));

  // ---- tables -----------------------------------------------------------------------------------------------------
  const TABLES = new Map(D.tables.map((table) => [table.file, table]));
  for (const table of D.tables) {
    table.place = new Map(table.columns.map((column, number) => [column.name, number]));
    table.at = (row, number) => { const column = table.columns[number], value = column.values[row]; return column.words ? column.words[value] : value; };
    table.get = (row, name) => (table.place.has(name) ? table.at(row, table.place.get(name)) : null);
  }
  const key = (...names) => names.join("\t");
  function index(file, names) {
    const table = TABLES.get(file), found = new Map();
    if (table) for (let row = 0; row < table.rows; row++) found.set(key(...names.map((name) => table.get(row, name))), row);
    return (...wanted) => { const row = found.get(key(...wanted)); return row === undefined ? null : (name) => table.get(row, name); };
  }
  const CELL = ["model", "intermediate", "target"];
  const transfer = index("transfer.tsv", CELL), byLanguage = index("transfer_by_language.tsv", [...CELL, "language"]);
  const tested = index("significance.tsv", CELL), testedLanguage = index("significance_by_language.tsv", [...CELL, "language"]);
  const gaps = index("language_gaps.tsv", CELL), groups = index("language_groups.tsv", [...CELL, "kind", "group"]);
  const best = index("best_rows.tsv", ["model", "target"]);
  const COLUMNS = new Map(D.columns.map((column) => [column.target, column]));

  // ---- one number of the matrix ------------------------------------------------------------------------------------
  const view = { value: "gain", over: "mean", languages: "all", models: new Set(D.models_shown), sortBy: null, sortAcross: null, cell: null, language: null, shown: "all" };

  function whyNoInterval(cell, test, place) {
    if (cell.row === NONE) return "none is what gains are measured against, so its own gain is 0 by definition.";
    if (!transfer(cell.model, NONE, cell.target)) return "none has no score for this model and target, so there is no gain.";
    if (place) return place;
    if (!test) return "This row was not compared with none: they share no seed, or predictions are missing.";
    return test("remark") || "The table gives no interval.";
  }
  function withInterval(cell, test, place) {
    const has = test && known(test("low")) && known(test("high"));
    return { ...cell, low: has ? test("low") : null, high: has ? test("high") : null, p: has ? test("p") : null, holm: has ? test("p_holm") : null,
             bh: has ? test("p_bh") : null, remark: test ? test("remark") : "", why: has ? "" : whyNoInterval(cell, test, place) };
  }
  function ofLanguage(cell, language, note) {
    const found = byLanguage(cell.model, cell.row, cell.target, language);
    if (!found) return { ...cell, lacks: "This target is not scored in this language, or the score is missing." };
    const numbers = { ...cell, score: found("score"), gain: found("gain"), sd: found("gain_sd"), scoreSd: found("sd"), n: found("n"), seeds: found("seeds"), language, note };
    return withInterval(numbers, testedLanguage(cell.model, cell.row, cell.target, language));
  }
  const members = (target, languages) => {
    const [kind, name] = languages.split(":"), codes = COLUMNS.get(target).languages;
    return kind === "all" ? codes : codes.filter((code) => D.languages[code][kind] === name);
  };
  function number(model, row, target) {
    const cell = { model, row, target }, whole = transfer(model, row, target);
    if (!whole) return { ...cell, lacks: "No score: the cell is not finished, or a language of it is missing." };
    const [kind, name] = view.languages.split(":");
    if (kind === "language") return ofLanguage(cell, name);
    const codes = members(target, view.languages);
    if (!codes.length) return { ...cell, lacks: `This target has no language of ${name}.` };
    if (view.over === "worst") {
      const scores = codes.map((code) => byLanguage(model, row, target, code)("score"));
      const gap = kind === "all" ? gaps(model, row, target) : null;
      const worst = gap ? gap("worst_language") : codes[scores.indexOf(Math.min(...scores))];
      return ofLanguage(cell, worst, `The worst of ${codes.length} languages: ${worst}. Its interval does not allow for having picked the worst.`);
    }
    if (kind === "all") {
      const numbers = { ...cell, score: whole("score"), gain: whole("gain"), sd: whole("gain_sd"), scoreSd: whole("sd"), n: whole("n"), seeds: whole("seeds") };
      return withInterval(numbers, tested(model, row, target));
    }
    if (codes.length === 1) return ofLanguage(cell, codes[0], `The only language of the group: ${codes[0]}.`);
    const group = groups(model, row, target, kind, name);
    if (!group) return { ...cell, lacks: "The table language_groups.tsv lacks this group." };
    const n = codes.reduce((sum, code) => sum + byLanguage(model, row, target, code)("n"), 0);
    const numbers = { ...cell, score: group("score"), gain: group("gain"), sd: group("gain_sd"), scoreSd: group("sd"), n, seeds: group("seeds"), note: `Mean over ${codes.join(", ")}.` };
    return withInterval(numbers, null, "Intervals are made for all languages and for single ones, not for a family or a script.");
  }
  function choiceOf(model, row, target) {
    const found = best(model, target);
    if (!found || !String(found("chosen")).split(" or ").includes(row)) return null;
    const fair = found("selected_on") !== found("reported_on");
    const text = fair ? `Chosen on ${found("selected_on")}, reported on ${found("reported_on")}.` : `The highest score on ${found("reported_on")} itself, which flatters it.`;
    const half = found("half_split_gain");
    return { fair, text: known(half) && half !== "" ? `${text} Half-split estimate of the gain: ${points(half, true)}.` : text };
  }
  function description(cell) {
    if (cell.lacks) return [["", cell.lacks]];
    const column = COLUMNS.get(cell.target), chosen = choiceOf(cell.model, cell.row, cell.target);
    const spread = (value, sd) => (known(sd) ? `${value} ± ${points(sd)} (standard deviation over seeds)` : value);
    return [
      ["score", spread(points(cell.score), cell.scoreSd)],
      ["gain", known(cell.gain) ? spread(points(cell.gain, true), cell.sd) : "none has no score"],
      ["95 % interval", known(cell.low) ? interval(cell) : `none made: ${cell.why}`],
      ["p, corrected", known(cell.holm) ? `${small(cell.holm)} (Holm), ${small(cell.bh)} (Benjamini–Hochberg)` : ""],
      ["p", known(cell.p) ? small(cell.p) : ""],
      ["seeds", `${cell.seeds}`], ["n", `${cell.n.toLocaleString("en")} examples`],
      ["metric", `${column.metric} on ${column.split}`],
      ["languages", cell.note || (cell.language ? cell.language : `${members(cell.target, view.languages).length}`)],
      ["choice", chosen ? chosen.text : ""], ["remark", known(cell.low) ? cell.remark : ""],
    ];
  }

  // ---- the matrix --------------------------------------------------------------------------------------------------
  let limit = 1;
  function colour(gain) {
    const share = Math.min(1, Math.abs(gain) / limit) * 0.75;
    return gain === 0 ? "transparent" : `rgba(${gain > 0 ? "33,102,172" : "178,24,43"},${share.toFixed(3)})`;
  }
  function valueButton(cell) {
    const none = cell.row === NONE, chosen = cell.lacks ? null : choiceOf(cell.model, cell.row, cell.target);
    const shown = none || view.value === "score" ? cell.score : cell.gain, signed = !none && view.value === "gain";
    const lacking = cell.lacks || !known(shown), bare = !lacking && !none && !known(cell.low);
    const text = lacking ? "–" : points(shown, signed) + (chosen ? (chosen.fair ? " ★" : " ☆") : "") + (bare ? " °" : "");
    const sure = known(cell.holm) && cell.holm <= 0.05;
    const names = ["value", lacking && "lacking", sure && "sure", chosen && (chosen.fair ? "chosen" : "flattered")].filter(Boolean).join(" ");
    const label = `${cell.row} on ${cell.target}: ` + description(cell).filter(([, value]) => value !== "").map((pair) => pair.join(" ")).join("; ");
    const made = el("button", { type: "button", class: names, tabindex: "-1", "aria-label": label, "data-cell": key(cell.model, cell.row, cell.target),
      onclick: () => select(cell.model, cell.row, cell.target, true), onfocus: () => preview(cell), onmouseenter: () => preview(cell) }, text);
    if (!lacking) made.style.background = none ? "var(--neutral)" : colour(cell.gain || 0);
    return made;
  }
  function ordered(model) {
    const value = (row, target) => { const cell = number(model, row, target); return cell.lacks ? null : view.value === "score" ? cell.score : cell.gain; };
    const mean = (row) => meanOf(D.columns.map((column) => value(row, column.target)));
    const sorted = (names, score, down) => names.map((name, place) => [name, score(name), place])
      .sort((a, b) => (a[1] === null) - (b[1] === null) || (down ? b[1] - a[1] : a[1] - b[1]) || a[2] - b[2]).map(([name]) => name);
    let rows = D.rows.filter((row) => row !== NONE), targets = D.columns.map((column) => column.target);
    if (view.sortBy) rows = sorted(rows, (row) => (view.sortBy.target === null ? mean(row) : value(row, view.sortBy.target)), view.sortBy.down);
    if (view.sortAcross) targets = sorted(targets, (target) => value(view.sortAcross.row, target), view.sortAcross.down);
    return { rows: [...D.rows.filter((row) => row === NONE), ...rows], targets };
  }
  function meanOf(values) {
    return values.every(known) ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  }
  const sortState = (sort, same) => (sort && same ? (sort.down ? "descending" : "ascending") : "none");
  const nextSort = (sort, same, content) => (sort && same ? (sort.down ? { ...content, down: false } : null) : { ...content, down: true });
  function matrixOf(model) {
    const { rows, targets } = ordered(model);
    const head = (target, content) => {
      const same = view.sortBy && view.sortBy.target === target;
      return el("th", { scope: "col", "aria-sort": sortState(view.sortBy, same) },
        el("button", { type: "button", title: "Sort rows by this column", onclick: () => { view.sortBy = nextSort(view.sortBy, same, { target }); drawMatrices(); } },
          content, same ? (view.sortBy.down ? " ▼" : " ▲") : ""));
    };
    const top = targets.map((target) => {
      const column = COLUMNS.get(target);
      return head(target, [target, el("small", {}, column.metric), el("small", {}, `${column.split}, ${column.languages.length} lang.`)]);
    });
    const mixed = new Set(D.columns.map((column) => column.metric)).size > 1;
    const body = rows.map((row) => {
      const cells = targets.map((target) => number(model, row, target));
      const same = view.sortAcross && view.sortAcross.row === row;
      const values = cells.map((cell) => (cell.lacks ? null : row === NONE || view.value === "score" ? cell.score : cell.gain)), mean = meanOf(values);
      return el("tr", { class: row === NONE ? "none" : null },
        el("th", { scope: "row" }, el("button", { type: "button", title: "Sort columns by this row",
          onclick: () => { view.sortAcross = nextSort(view.sortAcross, same, { row }); drawMatrices(); } },
          row === NONE ? "none (score)" : row, same ? (view.sortAcross.down ? " ▶" : " ◀") : "")),
        cells.map((cell) => el("td", {}, valueButton(cell))),
        el("td", { class: "mean" }, mean === null ? "–" : points(mean, row !== NONE && view.value === "gain")));
    });
    const table = el("table", { class: "matrix", onkeydown: moveFocus },
      el("thead", {}, el("tr", {}, el("td", {}), top, head(null, ["mean", mixed ? el("small", {}, "mixes metrics") : null]))),
      el("tbody", {}, body));
    const hint = el("p", { class: "quiet wide", hidden: "" }, "More columns to the right: scroll sideways, or walk through the cells with the arrow keys and End. ▸");
    return el("div", { class: "matrix-place" }, hint, el("figure", { class: "matrix" }, el("figcaption", {}, `${model}${SYNTHETIC}`), table));
  }
  // A matrix that is wider than the window says so, and is a stop of the Tab key that the arrow keys scroll.
  function markWide() {
    for (const figure of document.querySelectorAll("figure.matrix")) {
      const wide = figure.scrollWidth > figure.clientWidth + 1;
      figure.previousElementSibling.hidden = !wide;
      figure.classList.toggle("cut", wide && figure.scrollLeft + figure.clientWidth < figure.scrollWidth - 1);
      for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", `Matrix of ${figure.querySelector("figcaption").textContent}, scrolls sideways`]]) {
        if (wide) figure.setAttribute(name, value); else figure.removeAttribute(name);
      }
      figure.onscroll = markWide;
    }
  }
  window.addEventListener("resize", markWide);
  function drawMatrices() {
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.cell : null;
    limit = 1;
    const models = D.models_shown.filter((model) => view.models.has(model));
    for (const model of models) for (const row of D.rows) for (const column of D.columns) {
      const cell = number(model, row, column.target);
      if (!cell.lacks && known(cell.gain)) limit = Math.max(limit, Math.abs(cell.gain));
    }
    fill($("matrices"), models.length ? models.map(matrixOf) : [el("p", {}, "No model is selected.")]);
    const buttons = [...document.querySelectorAll("button.value")], again = buttons.find((button) => button.dataset.cell === focused);
    if (buttons.length) (again || buttons[0]).tabIndex = 0;
    if (again) again.focus();
    markSelected();
    drawLegend();
    markWide();
  }
  function markSelected() {
    const wanted = view.cell ? key(view.cell.model, view.cell.row, view.cell.target) : "";
    for (const button of document.querySelectorAll("button.value")) {
      button.classList.toggle("selected", button.dataset.cell === wanted);
      button.setAttribute("aria-pressed", String(button.dataset.cell === wanted));
    }
  }
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  function moveFocus(event) {
    if (!event.target.classList.contains("value")) return;
    const lines = [...event.currentTarget.querySelectorAll("tbody tr")].map((line) => [...line.querySelectorAll("button.value")]);
    const row = lines.findIndex((line) => line.includes(event.target)), column = lines[row].indexOf(event.target);
    const step = STEPS[event.key];
    const next = step ? (lines[row + step[0]] || [])[column + step[1]] : event.key === "Home" ? lines[row][0] : event.key === "End" ? lines[row].at(-1) : null;
    if (!next) return;
    event.preventDefault();
    for (const button of document.querySelectorAll('button.value[tabindex="0"]')) button.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
  function drawLegend() {
    const scale = el("span", { class: "scale", "aria-hidden": "true" });
    scale.style.background = `linear-gradient(90deg, ${colour(-limit)}, ${colour(0)}, ${colour(limit)})`;
    fill($("legend"),
      el("li", {}, `Colour: gain over none from ${points(-limit, true)} `, scale, ` to ${points(limit, true)} points; blue is better, red is worse.`),
      el("li", {}, "Bold: corrected p-value (Holm) of at most 0.05."),
      el("li", {}, "★ framed: the row that development data chose. ☆ dashed frame: no development split exists, so the row with the highest of the shown scores, which flatters it."),
      el("li", {}, "° no interval could be made: the cell says why. – no score."));
  }
  function drawControls() {
    const codes = Object.keys(D.languages), of = (kind) => [...new Set(codes.map((code) => D.languages[code][kind]))].sort();
    const options = [[null, [["all", "all languages"]]],
      ["language families", of("family").map((name) => [`family:${name}`, name])], ["scripts", of("script").map((name) => [`script:${name}`, name])],
      ["single languages", codes.map((code) => [`language:${code}`, `${code} (${D.languages[code].name})`])]];
    const models = el("fieldset", {}, el("legend", {}, "models side by side"));
    for (const model of D.models_shown)
      models.append(el("label", {}, el("input", { type: "checkbox", name: "model", value: model, checked: view.models.has(model),
        onchange: (event) => { if (event.target.checked) view.models.add(model); else view.models.delete(model); drawMatrices(); } }), " ", model));
    fill($("controls"),
      choices("value", "numbers", [["gain", "gain over none"], ["score", "score"]], view.value, (value) => { view.value = value; drawMatrices(); }),
      choices("over", "over languages", [["mean", "mean"], ["worst", "worst language"]], view.over, (value) => { view.over = value; drawMatrices(); }),
      dropdown("languages", "languages", options, view.languages, (value) => { view.languages = value; drawMatrices(); }),
      D.models_shown.length > 1 ? models : null,
      el("button", { type: "button", id: "unsort", onclick: () => { view.sortBy = view.sortAcross = null; drawMatrices(); } }, "original order"));
  }

  // ---- charts ------------------------------------------------------------------------------------------------------
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function theme() {
    const ink = css("--ink"), line = css("--line");
    const text = { labelColor: ink, titleColor: ink };
    return { background: "transparent", view: { stroke: line }, axis: { ...text, gridColor: line, domainColor: line, tickColor: line }, legend: text,
             title: { color: ink, subtitleColor: ink }, rule: { color: ink }, range: { category: { scheme: "tableau10" } } };
  }
  const drawn = new Map();
  async function draw(place, chart, values, actions = true) {
    const node = typeof place === "string" ? $(place) : place, before = drawn.get(node);
    if (before && before.chart === chart && before.view) {
      before.values = values;
      return before.view.data("values", values).runAsync();
    }
    if (before && before.waiting && before.chart === chart) { before.values = values; return null; }
    const entry = { chart, values, actions, waiting: true };
    drawn.set(node, entry);
    const spec = { ...D.charts[chart], datasets: { values } };
    const found = await vegaEmbed(node, spec, { renderer: "svg", config: theme(), actions: actions && { export: true, source: false, compiled: false, editor: false } });
    if (drawn.get(node) !== entry) return null;
    entry.view = found.view;
    entry.waiting = false;
    return entry.values === values ? null : found.view.data("values", entry.values).runAsync();
  }
  // Without an interval its ends are drawn at the gain itself.
  const ends = ({ gain, low, high }) => ({ low, high, from: low ?? gain, to: high ?? gain });
  function clear(place) { const node = typeof place === "string" ? $(place) : place; const entry = drawn.get(node); if (entry && entry.view) entry.view.finalize(); drawn.delete(node); fill(node); }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [node, entry] of [...drawn]) { clear(node); if (node.isConnected) draw(node, entry.chart, entry.values, entry.actions); }
  });

  // ---- hover and focus ---------------------------------------------------------------------------------------------
  let previewed = null;
  function preview(cell) {
    const name = key(cell.model, cell.row, cell.target, view.languages, view.over);
    if (previewed === name) return;
    previewed = name;
    fill($("panel-text"), el("h3", {}, `${cell.row} → ${cell.target}`), el("p", { class: "quiet" }, cell.model + SYNTHETIC), facts(description(cell)));
    const values = cell.lacks ? [] : COLUMNS.get(cell.target).languages.map((code) => {
      const own = byLanguage(cell.model, cell.row, cell.target, code), none = byLanguage(cell.model, NONE, cell.target, code);
      return { code, score: own ? own("score") : null, none: none ? none("score") : null };
    });
    if (cell.lacks) clear("panel-chart");
    else draw("panel-chart", "small", values, false);
  }

  // ---- sortable, filterable tables ---------------------------------------------------------------------------------
  function matcher(text, numeric) {
    const wanted = text.trim();
    if (!wanted) return null;
    const rule = /^(<=|>=|<|>|=)\s*([-\u2212+]?[\d.]+(?:e[-+]?\d+)?)$/i.exec(wanted);
    if (numeric && rule) {
      const limit = Number(rule[2].replace(MINUS, "-"));
      const test = { "<": (x) => x < limit, ">": (x) => x > limit, "<=": (x) => x <= limit, ">=": (x) => x >= limit, "=": (x) => x === limit }[rule[1]];
      return (value) => known(value) && test(value);
    }
    const lower = wanted.toLowerCase();
    return (value) => known(value) && String(value).toLowerCase().includes(lower);
  }
  const csvField = (value) => { const text = known(value) ? String(value) : ""; return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
  function download(name, lines) {
    const url = URL.createObjectURL(new Blob([lines.map((line) => line.map(csvField).join(",") + "\n").join("")], { type: "text/csv" }));
    const link = el("a", { href: url, download: name });
    document.body.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
  // content: {columns: [{name, about, numeric, decimals}], rows: [[value, …]], act: [title, function of a row's number] or null}
  function dataTable(place, name, caption, content) {
    const state = { sort: null, filters: content.columns.map(() => ""), size: PAGE };
    const body = el("tbody"), status = el("span", { role: "status" }), more = el("button", { type: "button", onclick: () => { state.size += 5 * PAGE; show(); } }, "show more rows");
    const heads = content.columns.map((column, number) => {
      const button = el("button", { type: "button", title: column.about, onclick: () => {
        const same = state.sort && state.sort.column === number;
        state.sort = nextSort(state.sort, same, { column: number }); show();
      } }, column.name);
      return el("th", { scope: "col", "aria-sort": "none" }, button);
    });
    const filters = content.columns.map((column, number) => el("td", {}, el("input", { type: "search", "aria-label": `Filter by ${column.name}`,
      placeholder: column.numeric ? "> 0" : "text", oninput: (event) => { state.filters[number] = event.target.value; state.size = PAGE; show(); } })));
    function selected() {
      const tests = state.filters.map((text, number) => matcher(text, content.columns[number].numeric));
      let rows = content.rows.map((row, number) => number).filter((number) => tests.every((test, place) => !test || test(content.rows[number][place])));
      if (state.sort) {
        const { column, down } = state.sort, numeric = content.columns[column].numeric, value = (number) => content.rows[number][column];
        rows = rows.sort((a, b) => {
          const x = value(a), y = value(b);
          if (!known(x) || !known(y)) return known(y) - known(x);
          const order = numeric ? x - y : String(x).localeCompare(String(y), "en");
          return down ? -order : order;
        });
      }
      return rows;
    }
    function show() {
      const rows = selected();
      heads.forEach((head, number) => {
        const same = state.sort && state.sort.column === number;
        head.setAttribute("aria-sort", sortState(state.sort, same));
        head.firstChild.textContent = content.columns[number].name + (same ? (state.sort.down ? " ▼" : " ▲") : "");
      });
      fill(body, rows.slice(0, state.size).map((number) => el("tr", {}, content.columns.map((column, place) => {
        const value = content.rows[number][place];
        const text = !known(value) ? "" : column.numeric && column.decimals && Math.abs(value) >= 0.001 ? value.toFixed(column.decimals).replace("-", MINUS) : String(value);
        return el("td", { class: column.numeric ? "number" : null }, place === 0 && content.act ? el("button", { type: "button", title: content.act[0], onclick: () => content.act[1](number) }, text) : text);
      }))));
      status.textContent = `${rows.length.toLocaleString("en")} of ${content.rows.length.toLocaleString("en")} rows` + (rows.length > state.size ? `, the first ${state.size} shown` : "");
      more.hidden = rows.length <= state.size;
    }
    const synthetic = D.synthetic && !content.columns.some((column) => column.name === "synthetic");
    const save = el("button", { type: "button", class: "download", onclick: () => download(`${name}.csv`, [
      [...content.columns.map((column) => column.name), ...(synthetic ? ["synthetic"] : [])],
      ...selected().map((number) => [...content.rows[number], ...(synthetic ? ["True"] : [])])]) }, "download these rows as CSV");
    const about = el("dl", {}, content.columns.map((column) => [el("dt", {}, column.name), el("dd", {}, column.about)]).flat());
    fill(place, el("div", { class: "tools" }, status, save), el("details", {}, el("summary", {}, "What the columns mean"), about),
      el("div", { class: "scroll" }, el("table", { class: "data" }, el("caption", {}, caption + SYNTHETIC),
        el("thead", {}, el("tr", {}, heads), el("tr", { class: "filters" }, filters)), body)), el("div", { class: "tools" }, more));
    show();
  }

  // ---- a cell and its languages -------------------------------------------------------------------------------------
  function select(model, row, target, move) {
    view.cell = { model, row, target };
    const codes = COLUMNS.get(target).languages;
    if (!codes.includes(view.language)) view.language = codes[0];
    markSelected();
    drawCell();
    drawExamples();
    drawTraining();
    remember();
    if (move) { $("cell").focus({ preventScroll: true }); $("cell").scrollIntoView(); }
  }
  function remember() {
    const { model, row, target } = view.cell;
    try { history.replaceState(null, "", "#at=" + [model, row, target, view.language].map(encodeURIComponent).join("/")); } catch { /* some viewers forbid it */ }
  }
  function drawCell() {
    const { model, row, target } = view.cell, column = COLUMNS.get(target), about = D.targets[target].about;
    $("cell-title").textContent = `Cell: ${row} → ${target} (${model})`;
    const seen = { ...view };
    Object.assign(view, { languages: "all", over: "mean" });
    const cell = number(model, row, target), rest = description(cell);
    const others = D.rows.filter((name) => name !== NONE).map((name) => number(model, name, target));
    Object.assign(view, { languages: seen.languages, over: seen.over });
    fill($("cell-facts"), about ? el("p", { class: "quiet" }, `${target}: ${about}`) : null, facts(rest));
    const lines = column.languages.map((code) => {
      const own = ofLanguage({ model, row, target }, code), none = byLanguage(model, NONE, target, code);
      return { code, own, none: none ? none("score") : null, facts: D.languages[code] };
    });
    const gained = lines.filter((line) => !line.own.lacks && known(line.own.gain));
    if (gained.length && row !== NONE) draw("cell-chart", "languages", gained.map(({ code, own, facts: fact }) => ({ name: `${code} ${fact.name}`, score: own.score, gain: own.gain, ...ends(own) })));
    else clear("cell-chart");
    const compared = others.filter((other) => !other.lacks && known(other.gain));
    if (compared.length) draw("rows-chart", "rows", compared.map((other) => ({ name: other.row, score: other.score, gain: other.gain, ...ends(other) })));
    else clear("rows-chart");
    const seeds = D.seeds.map(String), ofSeed = (code, seed) => (((((D.scores[model] || {})[row] || {})[target] || {})[code] || {})[seed] ?? null);
    const columns = [["language", "Code of the language; the button shows its examples."], ["name", "Name of the language."], ["family", "Language family."], ["script", "Script, ISO 15924."]]
      .map(([name, text]) => ({ name, about: text, numeric: false }));
    const numbers = [["score", "Mean over seeds, from 0 to 100."], ["none", "Score of none, from 0 to 100."], ["gain", "Score less that of none, in points."],
      ["low", "Lower end of the gain's 95 % interval, in points."], ["high", "Upper end of the gain's 95 % interval, in points."]].map(([name, text]) => ({ name, about: text, numeric: true, decimals: 4 }));
    const more = [["p_holm", "P-value, corrected over all cells and languages (Holm)."], ["n", "Number of examples."]].map(([name, text]) => ({ name, about: text, numeric: true, decimals: 0 }));
    const each = seeds.map((seed) => ({ name: `seed ${seed}`, about: `Score of seed ${seed} in scores.parquet, from 0 to 100.`, numeric: true, decimals: 4 }));
    const why = { name: "remark", about: "Why there is no interval, or what limits it.", numeric: false };
    dataTable($("cell-languages"), `${model}_${row}_${target}_languages`, `Languages of ${target} after ${row}, ${model}`, {
      columns: [...columns, ...numbers, ...more, ...each, why],
      rows: lines.map(({ code, own, none, facts: fact }) => [code, fact.name, fact.family, fact.script, own.score ?? null, none, own.gain ?? null, own.low ?? null, own.high ?? null,
        own.holm ?? null, own.n ?? null, ...seeds.map((seed) => ofSeed(code, seed)), own.lacks || own.why || own.remark || ""]),
      act: ["Show examples", (number) => { view.language = column.languages[number]; drawExamples(); remember(); $("examples").focus({ preventScroll: true }); $("examples").scrollIntoView(); }],
    });
  }

  // ---- examples -----------------------------------------------------------------------------------------------------
  function mark(right, remark) {
    return el("span", { class: right ? "right-mark" : "wrong-mark" }, (right ? "✓ right" : "✗ wrong") + (remark ? ` (${remark})` : ""));
  }
  function wordTable(example, lines, language) {
    const row = (title, tags, gold) => el("tr", {}, el("th", { scope: "row" }, title), example.words.map((_, place) => el("td", { class: gold && tags[place] !== gold[place] ? "off" : null }, tags[place])));
    return el("div", { class: "scroll" }, el("table", { class: "words" }, el("tbody", {},
      el("tr", {}, el("th", { scope: "row" }, "word"), example.words.map((word) => el("th", { scope: "col", lang: language, dir: "auto" }, word))),
      row("gold", example.tags), lines.map(([title, entry]) => {
        const tags = [...example.tags];
        for (const [place, tag] of entry[0]) if (place < tags.length) tags[place] = tag;
        return row(title, tags, example.tags);
      }))));
  }
  function article(example, own, none, row, language) {
    const made = el("article", { class: own[1] ? "right" : "wrong" }, el("p", { class: "quiet" }, `${example.id} `, D.synthetic ? el("span", { class: "badge" }, "synthetic data") : null));
    if (example.words) {
      made.append(wordTable(example, [[row, own], ...(none ? [[NONE, none]] : [])], language));
      if (example.cut) made.append(el("p", { class: "quiet" }, `The first ${example.words.length} words are shown.`));
      made.append(facts([[row, mark(own[1], own[2])], [NONE, none ? mark(none[1], none[2]) : ""]]));
      return made;
    }
    for (const [name, text] of example.texts) made.append(el("div", {}, el("span", { class: "quiet" }, name), el("blockquote", { lang: language, dir: "auto" }, text)));
    const said = (entry) => el("span", {}, el("span", { dir: "auto" }, entry[0]), " ", mark(entry[1], entry[2]));
    made.append(facts([["gold", el("span", { dir: "auto" }, example.gold)], [row, said(own)], [NONE, none ? said(none) : ""]]));
    return made;
  }
  function drawExamples() {
    const { model, row, target } = view.cell, sample = D.examples[target], language = view.language, column = COLUMNS.get(target);
    $("examples-title").textContent = `Examples: ${row} → ${target}, ${language} (${model})`;
    fill($("examples-controls"),
      dropdown("example-language", "language", [[null, column.languages.map((code) => [code, `${code} (${D.languages[code].name})`])]], language, (value) => { view.language = value; drawExamples(); remember(); }),
      choices("shown", "examples", [["all", "all"], ["right", "right"], ["wrong", "wrong"], ["changed", "different from none"]], view.shown, (value) => { view.shown = value; drawExamples(); }));
    const part = sample && sample.languages[language], place = (name) => (sample ? sample.cells.findIndex(([m, r]) => m === model && r === name) : -1);
    const own = place(row), none = row === NONE ? -1 : place(NONE);
    const say = (text) => { $("examples-note").textContent = text; fill($("examples-list")); };
    if (!sample) return say("No examples: the predictions or the rows of this target were not there when the page was made.");
    if (own < 0) return say(`No examples: this cell has no predictions at seed ${sample.seed}.`);
    if (!part) return say("No examples: there are no predictions in this language.");
    if (!part.examples.length) return say("No examples: they were left out to keep the page within its size. The cell's predictions.parquet has all of them.");
    const all = part.examples.map((example) => [example, example.cells[own], none < 0 ? null : example.cells[none]]).filter(([, entry]) => entry);
    const kept = all.filter(([, entry, beside]) => ({ all: true, right: entry[1], wrong: !entry[1], changed: beside && JSON.stringify(entry[0]) !== JSON.stringify(beside[0]) })[view.shown]);
    $("examples-note").textContent = `${kept.length} of a sample of ${all.length}, from ${part.total.toLocaleString("en")} examples; seed ${sample.seed}. ` +
      "The sample shows what rows get right and wrong; shares of it estimate nothing.";
    fill($("examples-list"), kept.map(([example, entry, beside]) => article(example, entry, beside, row, language)));
    return null;
  }

  // ---- training curves ----------------------------------------------------------------------------------------------
  function drawTraining() {
    const { model, row, target } = view.cell, tuned = D.targets[target].tuned, chain = D.chains[row] || [row];
    $("training-title").textContent = `Training and development curves: ${row} → ${target} (${model})`;
    for (const node of [...drawn.keys()]) if ($("training-curves").contains(node)) clear(node);
    const own = D.curves.filter((curve) => curve.model === model);
    const first = own.filter((curve) => !curve.tuned && chain.includes(curve.row) && curve.row !== NONE);
    const second = tuned ? own.filter((curve) => curve.tuned === tuned && (curve.row === row || curve.row === NONE)) : [];
    const lacking = tuned ? D.keep_tuned ? "Its logs were not there when the page was made." : "Tuned models, and their logs with them, are deleted after scoring (keep_tuned: false)." : "This target has no training of its own: it reads the row's checkpoint.";
    fill($("training-curves"),
      stage("Intermediate stage", first, row === NONE ? "none has no intermediate stage." : "Its logs were not there when the page was made.", (curve) => `${curve.row}, seed ${curve.seed}`),
      stage(`Target stage${tuned ? ` (${tuned})` : ""}`, second, lacking, (curve) => `after ${curve.row}, seed ${curve.seed}`));
  }
  function stage(title, curves, lacking, name) {
    const heading = el("h3", {}, title + SYNTHETIC);
    if (!curves.length) return el("div", {}, heading, el("p", {}, lacking));
    const losses = curves.flatMap((curve) => curve.loss.map(([step, value]) => ({ curve: name(curve), step, value })));
    const scores = curves.flatMap((curve) => Object.entries(curve.dev).flatMap(([task, values]) => values.map(([step, value]) => ({ curve: `${name(curve)}: ${task}`, step, value }))));
    const loss = el("div", { class: "chart", role: "img", "aria-label": `Training loss, ${title}` }), dev = el("div", { class: "chart", role: "img", "aria-label": `Development scores, ${title}` });
    draw(loss, "loss", losses);
    if (scores.length) draw(dev, "development", scores);
    const lines = curves.map((curve) => el("li", {}, `${name(curve)}: ${curve.steps} steps, loss from ${(curve.loss[0] || [])[1]} to ${(curve.loss.at(-1) || [])[1]}` +
      Object.entries(curve.dev).map(([task, values]) => `; development score of ${task} at most ${points(Math.max(...values.map((pair) => pair[1])))}`).join("")));
    return el("div", {}, heading, el("div", { class: "charts" }, loss, dev), el("ul", {}, lines), el("p", { class: "quiet" }, "Each point of a loss is the mean of the logged steps up to it."));
  }

  // ---- the answer of `snakemake select` ----------------------------------------------------------------------------
  const SELECTED = ["target", "chosen", "probability", "regret", "second", "second_probability", "score", "gain", "reported_on", "seeds", "rows_tried", "spent",
                    "next", "next_cost", "remark"];
  function drawSelection(found) {
    const all = found.columns.map(({ name }) => name), number = (name) => all.indexOf(name);
    const at = (row, name) => { const column = found.columns[number(name)], value = column.values[row], text = column.words ? column.words[value] : value; return text === "" ? null : text; };
    const lines = Array.from({ length: found.rows }, (_, row) => row), whole = lines.filter((row) => at(row, "by") === "all"), parts = whole.length < found.rows;
    const names = [SELECTED[0], ...(D.models_shown.length > 1 ? ["model"] : []), ...(parts ? ["by", "group"] : []), ...SELECTED.slice(1)];
    const sum = (name, rows) => rows.reduce((total, row) => total + at(row, name), 0), sure = whole.filter((row) => at(row, "probability") >= 0.8).length;
    $("selection-note").textContent = `Chosen on development scores for ${points(sum("spent", whole) / D.models_shown.length)} % of the grid's cost. ` +
      `${sure} of ${whole.length} rows are best with a probability of 0.8 or more; the choices are expected to lose ${(sum("regret", whole) / whole.length).toFixed(2)} points on average. ` +
      "A target's name opens its chosen cell.";
    const columns = names.map((name) => { const { about, decimals, words } = found.columns[number(name)]; return { name, about, numeric: !words, decimals }; });
    const shown = parts ? lines : whole, open = (row) => {
      const [model, chosen, target] = ["model", "chosen", "target"].map((name) => at(row, name));
      // The answer may be older than the grid.
      if (D.models_shown.includes(model) && D.rows.includes(chosen) && COLUMNS.has(target)) select(model, chosen, target, true);
    };
    dataTable($("selection-table"), "selection", `${found.title} (selection/${found.file})`,
      { columns, rows: shown.map((row) => names.map((name) => at(row, name))), act: ["show the chosen cell", (place) => open(shown[place])] });
  }

  // ---- all tables, provenance -------------------------------------------------------------------------------------
  function drawTables(file) {
    const table = TABLES.get(file);
    if (!table) return fill($("tables-table"), el("p", {}, "There are no tables beside this page."));
    const columns = table.columns.map(({ name, about, decimals, words }) => ({ name, about, numeric: !words, decimals }));
    const rows = Array.from({ length: table.rows }, (_, row) => columns.map((_, place) => { const value = table.at(row, place); return value === "" ? null : value; }));
    return dataTable($("tables-table"), file.replace(/\.tsv$/, ""), `${table.title} (tables/${file})`, { columns, rows, act: null });
  }
  function drawProvenance() {
    const { provenance: found } = D, made = (names) => names.join(", ") || "not recorded";
    const models = D.models_shown.map((name) => `${name}: ${D.models[name]}`), data = D.columns.map(({ target }) => `${target}: ${D.targets[target].origin}`);
    fill($("provenance-text"), facts([
      ["stiltgrid", found.stiltgrid], ["data", D.source + (D.synthetic ? ": synthetic, made by the mini-lab" : "")],
      ["models", models.join("; ")], ["targets", data.join("; ")], ["seeds", D.seeds.join(", ")],
      ["cells scored", `${found.cells}` + (found.missing ? `; ${found.missing} without scores` : "")],
      ["scored on", made(found.devices)], ["seconds of scoring", `${found.seconds}`], ["versions of scoring code", `${found.codes}`],
      ["packages", Object.entries(found.versions).map(([name, versions]) => `${name} ${versions.join(" and ")}`).join(", ")],
      ["files", "Every number of this page is in tables/; scores.parquet has further metrics, splits and layers."],
    ]));
  }

  // ---- start ------------------------------------------------------------------------------------------------------
  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
  $("size").textContent = [plural(D.models_shown.length, "model"), plural(D.rows.length, "row"), plural(D.columns.length, "target"), plural(Object.keys(D.languages).length, "language"), plural(D.seeds.length, "seed")].join(", ") + ".";
  $("reading").textContent = "A row is what the model was trained on before the target, a column a target. The top row has the scores of none (0 to 100), the others gains over it in points" +
    (D.seeds.length === 1 ? "; with one seed the variance of training is unseen" : "; ± in a cell's text is the standard deviation over seeds") +
    ". Point at a cell, or move with the arrow keys, for its details; press Enter or click for its languages, examples and curves.";
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
  drawControls();
  drawMatrices();
  fill($("tables-controls"), dropdown("table", "table", [[null, D.tables.map(({ file, title }) => [file, `${title} (${file})`])]], D.tables[0] && D.tables[0].file, drawTables));
  drawTables(D.tables[0] && D.tables[0].file);
  if (D.selection) drawSelection(D.selection);
  drawProvenance();
  const asked = /^#at=(.*)$/.exec(location.hash), names = asked ? asked[1].split("/").map(decodeURIComponent) : [];
  const there = D.models_shown.includes(names[0]) && D.rows.includes(names[1]) && COLUMNS.has(names[2]);
  view.language = names[3] || null;
  const [model, row, target] = there ? names : [D.models_shown[0], D.rows.find((name) => name !== NONE) || NONE, D.columns[0].target];
  preview(number(model, row, target));
  select(model, row, target, there);
  document.documentElement.dataset.ready = "true";
})();
