// Sets the theme before anything is painted: what was chosen here before, else the system's.
// A classic script, because modules run after the first paint.
(() => {
  const KEY = "tidings-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem(KEY);
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }

  const apply = () => {
    root.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
    document.querySelector("[data-theme-toggle]")?.setAttribute("aria-pressed", isDark());
  };
  const isDark = () => root.dataset.theme === "dark";

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.querySelector("[data-theme-toggle]").addEventListener("click", () => {
      chosen = isDark() ? "light" : "dark";
      try {
        localStorage.setItem(KEY, chosen);
      } catch {
        // As above.
      }
      apply();
    });
  });
})();
