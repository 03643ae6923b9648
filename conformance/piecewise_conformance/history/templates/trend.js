// Hovering over a chart shows a night's date and value; a click leads to the report of that night.
"use strict";
(() => {
  const tip = document.getElementById("tip");
  const units = { s: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]], B: [[2 ** 20, "MiB"]] };
  const links = new WeakMap();

  const shown = (value, unit) => {
    const [factor, name] = units[unit].find(([each]) => value >= each) ?? units[unit].at(-1);
    return `${Number((value / factor).toPrecision(3))} ${name}`;
  };

  // The night of the chart's point that is nearest to the pointer, and the point's height.
  const nearest = (chart, event) => {
    const box = chart.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
    let best = [0, 0, Infinity];
    for (const [, x, y] of chart.querySelector(".line").getAttribute("d").matchAll(/(\d+) (\d+)/g)) {
      const far = Math.abs(x - at);
      if (far < best[2]) best = [Number(x), Number(y), far];
    }
    return best;
  };

  const linksOf = (chart) => {
    const series = chart.closest(".series");
    if (!links.has(series)) links.set(series, JSON.parse(series.querySelector("script").textContent));
    return links.get(series);
  };

  document.addEventListener("pointermove", (event) => {
    const chart = event.target.closest?.(".chart");
    tip.hidden = !chart;
    if (!chart) return;
    const [x, y] = nearest(chart, event);
    const day = new Date(`${chart.closest(".series").dataset.first}T00:00:00Z`);
    day.setUTCDate(day.getUTCDate() + x);
    const { low, high, unit } = chart.dataset;
    const value = Number(low) + (1 - y / 48) * (high - low);
    tip.textContent = `${day.toISOString().slice(0, 10)}: about ${shown(value, unit)}`;
    const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, event.clientY - 32)}px`;
  });

  document.addEventListener("click", (event) => {
    const chart = event.target.closest?.(".chart");
    const link = chart && linksOf(chart)[nearest(chart, event)[0]];
    if (link) location.assign(link);
  });
})();
