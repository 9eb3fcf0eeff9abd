// Lets long names in tables break after a dot, a slash or an underscore, and nowhere else; options do not break.
document.addEventListener("DOMContentLoaded", () => {
  for (const span of document.querySelectorAll("article table code span.pre")) {
    if (span.textContent.startsWith("-")) span.style.whiteSpace = "nowrap";
    const parts = span.textContent.split(/(?<=[._/:(])/);
    span.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
  }
});

// Marks pictures of panels side by side: on a phone they keep their size, and scroll.
addEventListener("load", () => {
  for (const picture of document.querySelectorAll("article img:not(.network)")) {
    if (picture.naturalWidth > 1.55 * picture.naturalHeight) picture.classList.add("wide");
  }
});
