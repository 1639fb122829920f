/* Passkeys: what the server asks goes to the browser, what the browser answers goes to the server. */
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const listed = (some) => (some || []).map((one) => ({ ...one, id: bytes(one.id) }));

  const toCreate = (options) => ({
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: listed(options.excludeCredentials),
  });
  const toGet = (options) => ({
    ...options,
    challenge: bytes(options.challenge),
    allowCredentials: listed(options.allowCredentials),
  });
  const answerOf = (credential) => {
    const { response } = credential;
    const fields = { clientDataJSON: text(response.clientDataJSON) };
    if (response.attestationObject) {
      fields.attestationObject = text(response.attestationObject);
      fields.transports = response.getTransports?.() || [];
    } else {
      fields.authenticatorData = text(response.authenticatorData);
      fields.signature = text(response.signature);
      if (response.userHandle) fields.userHandle = text(response.userHandle);
    }
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response: fields };
  };

  const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
  const post = async (address, body) => {
    const headers = { "X-CSRF-Token": token, "Content-Type": "application/json" };
    const response = await fetch(address, { method: "POST", headers, body: body ? JSON.stringify(body) : "" });
    const found = response.headers.get("content-type")?.includes("json") ? await response.json() : {};
    if (!response.ok) throw new Error(found.problem || "The server did not take that. Reload this page and try again.");
    return found;
  };
  const inWords = (error) =>
    error.name === "NotAllowedError" ? "No passkey was used. Try again when you are ready."
    : error.name === "InvalidStateError" ? "This device already has a passkey for you."
    : error.message;

  const run = async (button, ceremony) => {
    const box = document.querySelector("[data-passkey-problem]");
    box.hidden = true;
    button.disabled = true;
    try {
      const options = await post(button.dataset.options, wish(button));
      const { next } = await post(button.dataset.answer, await ceremony(options, button));
      location.assign(next);
    } catch (error) {
      box.querySelector("p").textContent = inWords(error);
      box.hidden = false;
    } finally {
      button.disabled = false;
    }
  };
  const wish = (button) => {
    const password = button.form?.elements.password;
    return button.form ? { password: password ? password.value : "" } : null;
  };
  const use = async (options) => answerOf(await navigator.credentials.get({ publicKey: toGet(options) }));
  const make = async (options, button) => ({
    name: button.form.querySelector("[data-passkey-name]").value,
    answer: answerOf(await navigator.credentials.create({ publicKey: toCreate(options) })),
  });

  if (!window.PublicKeyCredential) return;
  for (const part of document.querySelectorAll("[data-passkey-part]")) part.hidden = false;
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-passkey-use]");
    if (button) run(button, use);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("[data-passkey-make]");
    if (!form) return;
    event.preventDefault();
    run(form.querySelector("button:not([type=button])"), make).finally(() => form.closest("dialog")?.close());
  });
})();
