
"use strict";
(() => {
  const table = document.getElementById("rows");
  if (!table) return;
  const search = document.getElementById("search");
  const state = document.getElementById("state");
  const found = document.getElementById("found");
  const none = document.getElementById("none");
  const rows = Array.from(table.tBodies[0].rows, (row) => ({
    row, state: row.dataset.state,
    text: Array.from(row.cells, (cell) => cell.textContent).join(" ").toLowerCase(),
  }));
  const number = new Intl.NumberFormat("en");

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const each of rows) {
      const fits = (!state.value || each.state === state.value) && words.every((word) => each.text.includes(word));
      each.row.hidden = !fits;
      count += fits;
    }
    found.textContent = `${number.format(count)} of ${number.format(rows.length)} shown`;
    none.hidden = count > 0;
  }

  // The address keeps the search, so that a link to the page repeats it.
  function remember() {
    const wanted = new URLSearchParams();
    if (search.value) wanted.set("q", search.value);
    if (state.value) wanted.set("state", state.value);
    history.replaceState(null, "", wanted.size ? `#${wanted}` : location.pathname + location.search);
  }

  function recall() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    search.value = wanted.get("q") ?? "";
    state.value = wanted.get("state") ?? "";
    if (state.selectedIndex < 0) state.value = "";
    show();
  }

  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { show(); remember(); }, 120);
  });
  state.addEventListener("change", () => { show(); remember(); });
  addEventListener("hashchange", recall);
  document.querySelector(".tools").hidden = false;
  recall();
})();
