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
    const turn = (dark) => {
      put(dark);
      Dom.redraw();
    };
    const system = matchMedia("(prefers-color-scheme: dark)");
    put(kept ? kept === "dark" : system.matches);
    system.addEventListener("change", () => kept ?? turn(system.matches));
    button.addEventListener("click", () => {
      turn(!Palette.dark());
      kept = document.documentElement.dataset.theme;
      try { localStorage.setItem("theme", kept); } catch { /* as above */ }
    });
  }

  theme();
  document.getElementById("where").textContent = [results.machine, `commit ${(results.commit ?? "unknown").replace(/^(\w{10})\w+/, "$1")}`, results.date].filter(Boolean).join(" · ");
  const paths = results.experiments.filter((e) => e.runs.some((r) => r.points.some((p) => p.x)));
  const others = results.experiments.filter((e) => !paths.includes(e));
  const animation = paths.length ? el("section", { id: "trajectories", "aria-labelledby": "trajectories-title" }) : null;
  const main = document.getElementById("main");
  main.replaceChildren();
  /** What a part makes; where it can't, because of what it has to show, the others stand all the same. */
  const safely = (id, make) => {
    try {
      return make();
    } catch (error) {
      console.warn(error);
      return el("section", { id }, el("h2", {}, id), el("p", {}, `This part can't be shown: ${error.message}.`));
    }
  };
  const parts = [...others, ...paths].map((e) => safely(e.name, () => Experiment.section(e)));
  const overview = safely("overview", Overview.section);
  const sections = [overview, animation, ...parts, safely("peers", Peers.section)].filter(Boolean);
  main.append(...sections);
  if (animation) safely("trajectories", () => Animation.mount(animation, paths));
  const name = (section) => ({ overview: "Overview", trajectories: "Animation", peers: "Other libraries" })[section.id] ?? section.id;
  const nav = document.getElementById("nav");
  const links = new Map(sections.map((section) => [section, el("a", { href: `#${section.id}` }, name(section))]));
  nav.append(...links.values());
  // The one that is read is marked, and in sight.
  const watch = new IntersectionObserver((entries) => {
    const entry = entries.find((entry) => entry.isIntersecting);
    if (!entry) return;
    nav.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const link = links.get(entry.target);
    link.setAttribute("aria-current", "true");
    nav.scrollLeft = link.offsetLeft - nav.offsetLeft - nav.clientWidth / 2;
  }, { rootMargin: "-20% 0px -79% 0px" });
  sections.forEach((section) => watch.observe(section));
})();
