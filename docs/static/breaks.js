// Lets long names in tables break after a dot, a slash or an underscore, and nowhere else.
document.addEventListener("DOMContentLoaded", () => {
  for (const span of document.querySelectorAll("article table code span.pre")) {
    const parts = span.textContent.split(/(?<=[._/:(])/);
    span.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
  }
});
