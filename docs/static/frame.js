// A framed figure gets the reader's choice of light or dark, and the frame its figure's height.
document.addEventListener("DOMContentLoaded", () => {
  const frames = [...document.querySelectorAll("iframe.moving")];
  const theme = () => {
    const chosen = document.body.dataset.theme;
    if (chosen === "light" || chosen === "dark") return chosen;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };
  const tell = () => frames.forEach((frame) => frame.contentWindow.postMessage({ theme: theme() }, "*"));
  for (const frame of frames) frame.addEventListener("load", tell);
  new MutationObserver(tell).observe(document.body, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  tell();
  addEventListener("message", ({ source, data }) => {
    const frame = frames.find((one) => one.contentWindow === source);
    if (frame && data?.height > 0) frame.style.height = `${Math.ceil(data.height)}px`;
  });
});
