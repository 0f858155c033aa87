// Runs before the first paint: takes the kept theme, or the system's. Also `touchpointTheme(choice)` for the switch.
(() => {
  const root = document.documentElement;
  if ("themeFixed" in root.dataset) return; // in a frame of another site, which decides
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("theme") || root.dataset.theme || "auto";
    } catch {
      return root.dataset.theme || "auto";
    }
  };
  const apply = (choice) => {
    const theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    root.dataset.theme = choice;
    if (root.dataset.bsTheme === theme) return;
    root.dataset.bsTheme = theme;
    document.dispatchEvent(new CustomEvent("themechange", { detail: { theme } }));
  };
  apply(kept());
  system.addEventListener("change", () => apply(kept()));
  window.touchpointTheme = (choice) => {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // Storage may be closed to us; the cookie below still keeps the choice.
    }
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${choice}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    apply(choice);
  };
})();
