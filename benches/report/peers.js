// Other libraries beside ours, if `bench --peers` was run.
const Peers = (() => {
  "use strict";
  const { el, table } = Dom;

  function section() {
    const rows = Array.isArray(Data.root.peers) ? Data.root.peers : [];
    if (!rows.length) return null;
    const works = [...new Set(rows.filter((r) => r.ours_ms).map((r) => r.work))];
    const peers = [...new Map(rows.filter((r) => r.theirs_ms).map((r) => [r.peer, r.version ?? ""]))];
    const ratio = (a, b) => (Number.isFinite(a) && Number.isFinite(b) ? (a / b).toFixed(2) : "–");
    const lines = works.map((work) => {
      const own = rows.filter((r) => r.work === work);
      const ours = own.find((r) => r.ours_ms);
      const cell = ([peer]) => ratio(own.find((r) => r.peer === peer)?.theirs_ms, ours.ours_ms);
      const limits = [ours.ours_ms, ours.ours_checked_ms].map((ms) => ratio(ms, ours.limit_ms));
      return [work, ours.ours_ms.toFixed(2), ...limits, ...peers.map(cell)];
    });
    const heads = [["work"], ["ours, ms", true], ["ours to limit", true], ["checked to limit", true], ...peers.map(([name, version]) => [`${name} ${version}`.trim(), true])];
    const gaps = rows.filter((r) => r.gap).map((r) => el("li", {}, `${r.peer}${r.work ? `, ${r.work}` : ""}: ${r.gap}`));
    return el("section", { id: "peers", "aria-labelledby": "peers-title" },
      el("h2", { id: "peers-title" }, "Against other libraries"), el("p", { class: "note" }, rows[0].machine ?? ""),
      table("Time of the peer to ours: above 1 we are ahead. Medians of turns in one run. Steps trust the gradient, as every peer does; checked: as ours are by default.", heads, lines),
      gaps.length ? el("details", {}, el("summary", {}, "What is not there"), el("ul", {}, gaps)) : null);
  }

  return { section };
})();
