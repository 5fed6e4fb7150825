// The way in.
const form = document.getElementById("login");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  problem.hidden = true;
  const answer = await fetch("/api/v1/login", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-QNX-Client": "dashboard" },
    body: JSON.stringify({ name: form.name.value, password: form.password.value }),
  }).catch(() => null);
  if (answer?.ok) {
    location.assign("/");
    return;
  }
  const said = await answer?.json().catch(() => null);
  problem.textContent = said?.error ?? "the node does not answer";
  problem.hidden = false;
  button.disabled = false;
  form.password.select();
});
