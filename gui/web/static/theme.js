// Chooses the theme before the first paint; a classic script so that nothing flashes.
const chosen = localStorage.getItem("theme");
const preferred = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
document.documentElement.dataset.theme = chosen === "light" || chosen === "dark" ? chosen : preferred;
