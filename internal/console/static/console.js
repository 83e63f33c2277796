// The console works without this script. With it, pages stay true by themselves, ids are
// copied with a click, times stay relative, and / leads to the search.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  // --- Times: the exact one is in the attribute, and shown on hover.
  const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
  function relative(at) {
    const seconds = (new Date(at).getTime() - Date.now()) / 1000;
    if (Math.abs(seconds) < 5) return "just now";
    const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) || units[units.length - 1];
    return words.format(Math.trunc(seconds / size), unit);
  }
  function tellTimes(root) {
    for (const time of root.querySelectorAll("time[data-relative]")) {
      const text = relative(time.dateTime);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // --- Charts are drawn from the table of their numbers, which everybody can read.
  const charts = new Map();
  function colour(name) {
    const probe = document.body.appendChild(document.createElement("span"));
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }
  function drawCharts() {
    for (const [figure, chart] of charts) if (!figure.isConnected) { chart.destroy(); charts.delete(figure); }
    if (!window.uPlot) return;
    for (const figure of document.querySelectorAll("[data-chart]")) {
      const table = document.getElementById(figure.dataset.chart);
      if (!table) continue;
      const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => Number(cell.dataset.value)));
      if (rows.length < 2) continue;
      const data = rows[0].map((_, i) => rows.map((row) => row[i]));
      const chart = charts.get(figure);
      if (chart) { chart.setData(data); continue; }
      const strokes = ["--accent", "--bad", "--wait"].map(colour);
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
      charts.set(figure, new uPlot({
        width: figure.clientWidth, height: 180, legend: { show: false }, cursor: { show: false },
        axes: [axis, { ...axis, size: 44 }],
        scales: { y: { range: (u, min, max) => [0, Math.max(1, max * 1.1)] } },
        series: [{}, ...[...table.tHead.rows[0].cells].slice(1).map((cell, i) => (
          { label: cell.textContent, stroke: strokes[i], width: 2, fill: i === 0 ? strokes[i].replace(/^rgb\((.*)\)$/, "rgba($1, .12)") : undefined, points: { show: false } }))],
      }, data, figure));
    }
  }
  addEventListener("resize", () => { for (const [figure, chart] of charts) chart.setSize({ width: figure.clientWidth, height: 180 }); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [figure, chart] of charts) { chart.destroy(); charts.delete(figure); }
    drawCharts();
  });

  // --- Live: the server sends the part of the page that changed. Where that does not get
  // through, the page asks every ten seconds. A page that nobody sees asks for nothing.
  let stream, poll, failures = 0;
  function show(html) {
    const live = document.getElementById("live");
    if (!live) return;
    Idiomorph.morph(live, html, { morphStyle: "innerHTML", ignoreActiveValue: true,
      callbacks: { beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS") } });
    tellTimes(live);
    drawCharts();
  }
  function tell(state) {
    const sign = document.getElementById("live-state");
    if (!sign) return;
    sign.dataset.state = state;
    sign.textContent = state === "on" ? "Live" : state === "poll" ? "Updates every 10 s" : "Not connected";
  }
  async function ask() {
    const live = document.getElementById("live");
    if (!live || document.hidden) return;
    try {
      const answer = await fetch(live.dataset.live, { headers: { "X-Live": "1" }, redirect: "error" });
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.text());
      tell("poll");
    } catch { tell("off"); }
  }
  function stop() {
    if (stream) stream.close();
    clearInterval(poll);
    stream = poll = undefined;
  }
  function start() {
    stop();
    const live = document.getElementById("live");
    if (!live || !live.dataset.live || document.hidden) return;
    stream = new EventSource(live.dataset.live);
    stream.addEventListener("open", () => { failures = 0; tell("on"); });
    stream.addEventListener("part", (event) => show(JSON.parse(event.data)));
    stream.addEventListener("error", () => {
      tell("off");
      if (++failures < 3 && stream.readyState !== EventSource.CLOSED) return; // it connects again by itself
      stop();
      poll = setInterval(ask, 10000);
      ask();
    });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);

  // --- Ids are copied with a click.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    try { await navigator.clipboard.writeText(button.dataset.copy); } catch { return; }
    button.dataset.copied = "yes";
    document.getElementById("said").textContent = "Copied " + button.dataset.copy;
    setTimeout(() => { delete button.dataset.copied; }, 1200);
  });

  // --- Filters apply when they change, without a button.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filter]");
    if (form && event.target.tagName === "SELECT") form.requestSubmit();
  });

  // --- A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || event.defaultPrevented) return;
    const button = event.submitter;
    if (button) setTimeout(() => { button.disabled = true; button.setAttribute("aria-busy", "true"); });
  });
  addEventListener("pageshow", () => { for (const b of document.querySelectorAll("button[aria-busy]")) { b.disabled = false; b.removeAttribute("aria-busy"); } });

  // --- / leads to the search, Escape out of it.
  document.addEventListener("keydown", (event) => {
    const search = document.getElementById("search");
    if (!search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && document.activeElement === search) return search.blur();
    if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  // --- Filter forms are swapped in place by htmx; what is new is brought to life.
  document.addEventListener("htmx:afterSettle", () => { tellTimes(document); drawCharts(); start(); });

  tellTimes(document);
  setInterval(() => tellTimes(document), 5000);
  drawCharts();
  start();
})();
