"use strict";
// Moves the learned lines, the marks and the numbers to the step of the slider.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("step");
  if (!slider) return;
  const play = document.getElementById("play");
  const words = document.getElementById("words");
  const PACE = 250;
  let timer = 0;

  const place = (value, low, high, start, end) =>
    Math.round(10 * (start + ((value - low) / (high - low)) * (end - start))) / 10;

  const outline = (chart, values) => {
    const [left, right, low, high] = chart.limits;
    const [start, end, top, bottom] = chart.box;
    let drawing = false;
    let path = "";
    values.forEach((value, index) => {
      if (value === null) {
        drawing = false;
        return;
      }
      const x = place(chart.x[index], left, right, start, end);
      const y = place(value, low, high, bottom, top);
      path += `${drawing ? "L" : "M"}${x} ${y}`;
      drawing = true;
    });
    return path;
  };

  const mark = (key, chart, step) => {
    const [left, right] = chart.limits;
    const [start, end, top, bottom] = chart.box;
    const line = document.getElementById(`now-${key}`);
    const x = place(step, left, right, start, end);
    line.setAttribute("d", `M${x} ${top}V${bottom}`);
    line.style.visibility = step < left || step > right ? "hidden" : "visible";
  };

  const show = (index) => {
    const { step, words: text, values } = data.places[index];
    slider.value = index;
    slider.setAttribute("aria-valuetext", text);
    words.textContent = text;
    values.forEach((value, i) => {
      document.getElementById(`reading-${i}`).textContent = value;
    });
    for (const [key, chart] of Object.entries(data.charts)) {
      for (const [id, steps] of Object.entries(chart.lines)) {
        document.getElementById(id).setAttribute("d", outline(chart, steps[index]));
      }
      if (chart.marked) mark(key, chart, step);
    }
  };

  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };

  const start = () => {
    const last = data.places.length - 1;
    show(Number(slider.value) === last ? 0 : Number(slider.value));
    timer = setInterval(() => {
      show(Number(slider.value) + 1);
      if (Number(slider.value) === last) stop();
    }, PACE);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  };

  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });
  play.addEventListener("click", () => (timer ? stop() : start()));
  document.getElementById("control").hidden = false;
  show(data.shown);
})();
