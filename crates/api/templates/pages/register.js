(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const page = JSON.parse(at("data").textContent);
  const consent = at("consent"), start = at("start"), paypal = at("paypal"), locked = at("locked");
  const say = (text) => { at("said").textContent = text; };
  const warn = (node) => { at("alert").replaceChildren(node); };

  // The window's end. Success is that there is no code; a redirect has no result at all.
  let busy = false;
  const leave = (to, fields) => {
    const url = new URL(to, location.href);
    for (const [name, value] of Object.entries(fields)) {
      if (value) url.searchParams.set(name, String(value).slice(0, 500));
    }
    say(page.words.done);
    location.assign(url);
  };
  const done = (result) => {
    busy = false;
    say("");
    if (!result) return;
    const { billingKey, code, message, pgCode, pgMessage } = result;
    if (code === undefined || code === null) return leave(page.successUrl, { billingKey });
    const text = `${message || ""} ${pgMessage || ""}`.toLowerCase();
    const closed = page.closedCodes.some((known) => known === code || known === pgCode)
      || page.closedWords.some((words) => text.includes(words));
    if (closed) return say(page.words.closed);
    leave(page.failureUrl, { code, message, pgCode, pgMessage });
  };
  const failed = (error) => {
    const { code = "UnknownError", message, pgCode, pgMessage } = error || {};
    done({ code, message, pgCode, pgMessage });
  };

  // The SDK: loaded from here, so that it is known if it was blocked, failed or hangs.
  const sdk = new Promise((loaded, missing) => {
    const script = document.createElement("script");
    script.src = page.sdkUrl;
    script.onload = () => (window.PortOne ? loaded(window.PortOne) : missing());
    script.onerror = missing;
    setTimeout(missing, 20000);
    document.head.append(script);
  });
  sdk.catch(() => {
    at("act").hidden = true;
    say("");
    warn(at("blocked").content.cloneNode(true));
  });

  const agreed = () => {
    locked.hidden = consent.checked;
    if (start) start.setAttribute("aria-disabled", String(!consent.checked));
    if (paypal) {
      paypal.hidden = !consent.checked;
      if (consent.checked && !paypal.dataset.drawn) {
        paypal.dataset.drawn = "yes";
        sdk.then((PortOne) => PortOne.loadIssueBillingKeyUI(page.request, {
          onIssueBillingKeySuccess: done,
          onIssueBillingKeyFail: failed,
        })).catch((error) => error && failed(error));
      }
    }
  };
  consent.addEventListener("change", () => { at("alert").replaceChildren(); agreed(); });
  if (start) start.addEventListener("click", () => {
    if (busy) return;
    if (!consent.checked) {
      const text = document.createElement("p");
      text.className = "alert";
      text.textContent = page.words.consentFirst;
      warn(text);
      return consent.focus();
    }
    busy = true;
    say(page.words.opening);
    sdk.then((PortOne) => PortOne.requestIssueBillingKey(page.request).then(done, failed), () => {});
  });

  // A page that is come back to starts over, and may have kept its tick.
  addEventListener("pageshow", (event) => {
    if (event.persisted) { busy = false; say(""); }
    agreed();
  });
  at("act").hidden = false;
})();
