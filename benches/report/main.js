// The page.
(() => {
  "use strict";
  const { el } = Dom;
  const { results } = Data;
  Palette.learn(new Set(results.experiments.flatMap((e) => e.runs.map((r) => r.method))));

  function theme() {
    const button = document.getElementById("theme");
    let kept = null;
    try { kept = localStorage.getItem("theme"); } catch { /* a page from disk may have no storage */ }
    const put = (dark) => {
      document.documentElement.dataset.theme = dark ? "dark" : "light";
      button.setAttribute("aria-pressed", String(dark));
    };
    put(kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
    button.addEventListener("click", () => {
      put(document.documentElement.dataset.theme !== "dark");
      try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* as above */ }
      dispatchEvent(new Event("themed"));
      Dom.redraw();
    });
  }

  theme();
  document.getElementById("where").textContent = [results.machine, `commit ${results.commit.replace(/^(\w{10})\w+/, "$1")}`, results.date].filter(Boolean).join(" · ");
  const paths = results.experiments.filter((e) => e.runs.some((r) => r.points.some((p) => p.x)));
  const others = results.experiments.filter((e) => !paths.includes(e));
  const animation = paths.length ? el("section", { id: "trajectories", "aria-labelledby": "trajectories-title" }) : null;
  const main = document.getElementById("main");
  main.replaceChildren();
  const sections = [Overview.section(), animation, ...others.map(Experiment.section), ...paths.map(Experiment.section), Peers.section()].filter(Boolean);
  main.append(...sections);
  if (animation) Animation.mount(animation, paths);
  const name = (section) => ({ overview: "Overview", trajectories: "Animation", peers: "Other libraries" })[section.id] ?? section.id;
  document.getElementById("nav").append(...sections.map((section) => el("a", { href: `#${section.id}` }, name(section))));
})();
