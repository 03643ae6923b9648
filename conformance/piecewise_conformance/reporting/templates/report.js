"use strict";
(() => {
  const form = document.getElementById("filters");
  const blocks = Array.from(document.querySelectorAll("tbody[data-family]"));
  const told = document.getElementById("shown");
  form.hidden = false; // without scripts there is nothing to filter with
  const apply = () => {
    const wanted = new Set(Array.from(form.querySelectorAll("[name=status]:checked"), (e) => e.value));
    const family = form.elements.family.value;
    const text = form.elements.text.value.trim().toLowerCase();
    let shown = 0;
    for (const block of blocks) {
      const statuses = block.dataset.statuses.split(" ");
      const fits = (!wanted.size || statuses.some((each) => wanted.has(each)))
        && (!family || block.dataset.family === family)
        && (!text || block.dataset.text.includes(text));
      block.hidden = !fits;
      shown += fits;
    }
    told.textContent = `${shown} of ${blocks.length} requirements`;
  };
  const reveal = () => {
    // A link to a requirement that is filtered away shows it.
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.matches("tbody")) return;
    target.hidden = false;
    for (const each of target.querySelectorAll("details")) each.open = true;
    target.scrollIntoView();
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  window.addEventListener("hashchange", reveal);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const source = button.closest(".text").querySelector("pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      // Pages that are files may not write to the clipboard: select it for the reader to copy.
      getSelection().selectAllChildren(source);
      button.textContent = "Selected: press Ctrl+C";
    }
  });
  apply();
  reveal();
})();
