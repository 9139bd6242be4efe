// The script of the pages that links in mails lead to. The Content-Security-Policy forbids inline scripts.

const API = new URL(".", location.href); // with the path prefix, if a proxy in front removes one
const FINAL = ["done", "no_token", "link_invalid", "email_taken"]; // the form is of no use after these
const TIMEOUT = 30_000; // milliseconds

const form = document.querySelector("form");
const password = document.getElementById("password"); // this and the next two: only on the page with a password
const repeated = document.getElementById("repeated");
const show = document.getElementById("show");
const result = document.getElementById("result");
const details = document.getElementById("details");
let isSending = false; // a disabled button would lose the focus

const token = takeToken();
addEventListener("hashchange", () => location.reload()); // another link was opened in this tab
form.addEventListener("submit", submit);
show?.addEventListener("change", showPassword);
if (token) {
  form.hidden = false;
} else {
  showResult("no_token");
}

// Remove the token from the address bar and the history, where others could see it.
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

async function submit(event) {
  event.preventDefault();
  if (isSending) {
    return;
  }
  clear();
  if (password && password.value !== repeated.value) {
    showError(repeated);
    return;
  }
  isSending = true;
  showResult(...(await send(password ? {token, password: password.value} : {token})));
  isSending = false;
}

// Return the name of the result, the problem, if the server answered with one, and the seconds to wait.
async function send(body) {
  let response;
  try {
    response = await fetch(new URL(form.dataset.path, API), {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch {
    return ["offline"];
  }
  if (response.ok) {
    return ["done"];
  }
  const problem = (await response.json().catch(() => null)) ?? {}; // a proxy may answer with another body
  return [nameOf(response.status, problem), problem, Number(response.headers.get("Retry-After"))];
}

function nameOf(status, problem) {
  if (status === 429 || status === 503) {
    return status === 429 ? "limited" : "busy";
  }
  return paragraphs(problem.code).length ? problem.code : "failed";
}

function paragraphs(name) {
  return [...result.querySelectorAll("[data-for]")].filter((paragraph) => paragraph.dataset.for === name);
}

// The server's texts are shown as text, never as HTML.
function showResult(name, problem = {}, seconds = 0) {
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  const ours = errors.filter((error) => password && error.pointer === "/password");
  const others = errors.filter((error) => !ours.includes(error));
  if (ours.length) {
    showError(password, ours.map((error) => error.detail).join(" "));
  }
  const texts = name === "failed" && problem.detail ? [problem.detail] : [];
  details.replaceChildren(...[...texts, ...others.map((error) => error.detail)].map(item));
  details.hidden = !details.hasChildNodes();
  for (const paragraph of paragraphs(name)) {
    paragraph.hidden = false;
    const wait = paragraph.querySelector("[data-wait]");
    if (wait && seconds > 0) {
      wait.textContent = seconds === 1 ? "in a second" : `in ${seconds} seconds`;
    }
  }
  if (FINAL.includes(name)) {
    form.reset();
    form.hidden = true;
    result.focus();
  }
}

function item(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}

function showError(input, text) {
  const message = document.getElementById(input.getAttribute("aria-describedby"));
  message.textContent = text ?? message.textContent;
  message.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.focus();
}

function clear() {
  for (const element of document.querySelectorAll(".error, [data-for], #details")) {
    element.hidden = true;
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
}

function showPassword() {
  password.type = repeated.type = show.checked ? "text" : "password";
}
