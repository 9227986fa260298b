// What stands in for PortOne's browser SDK in the sandbox. No card is ever charged here.
(() => {
  "use strict";
  const home = new URL(document.currentScript.src).origin;
  const narrow = 600; // CSS pixels: below it a desktop's browser counts as a phone's, too.

  const failure = (type, problem) =>
    Object.assign(new Error(problem.message), { __portOneErrorType: type, transactionType: "ISSUE_BILLING_KEY" }, problem);

  async function open(request, by) {
    const phone = /Android|iPhone|iPad|Mobile/i.test(navigator.userAgent) || innerWidth < narrow;
    let response, answer;
    try {
      response = await fetch(home + "/sandbox/window/open", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ request, platform: phone ? "MOBILE" : "PC", by }),
      });
      answer = await response.json();
    } catch {
      throw failure("IssueBillingKeyError", { code: "Unavailable", message: "the sandbox's PortOne does not answer" });
    }
    if (!response.ok) throw failure("IssueBillingKeyError", answer);
    return answer;
  }

  // Shows a window over the page, and answers as it ends.
  function show({ path, closed }) {
    const overlay = document.createElement("dialog");
    overlay.id = "portone-sandbox-overlay";
    overlay.setAttribute("aria-label", "PortOne (sandbox)");
    const frame = document.createElement("iframe");
    frame.id = "portone-sandbox-frame";
    frame.title = "PortOne (sandbox)";
    frame.src = home + path;
    // Through the CSSOM, which a page's policy for styles lets pass.
    overlay.style.cssText = "position:fixed;inset:0;width:100vw;height:100dvh;max-width:none;max-height:none;margin:0;padding:0;" +
      "border:0;background:rgb(15 23 42/.55);overflow:auto";
    frame.style.cssText = "display:block;width:min(26rem,calc(100vw - 1rem));height:min(45rem,calc(100dvh - 1rem));" +
      "margin:max(.5rem,calc(50dvh - 22.5rem)) auto .5rem;border:0;border-radius:16px;background:#fff;" +
      "box-shadow:0 24px 64px rgb(15 23 42/.4)";
    overlay.append(frame);
    return new Promise((resolve) => {
      const end = (result) => {
        removeEventListener("message", hear);
        overlay.close();
        overlay.remove();
        resolve(result);
      };
      const hear = ({ source, origin, data }) => {
        if (source === frame.contentWindow && origin === home) end(data.result ?? closed);
      };
      addEventListener("message", hear);
      overlay.addEventListener("cancel", (event) => {
        event.preventDefault();
        end(closed);
      });
      frame.addEventListener("load", () => frame.focus());
      document.body.append(overlay);
      overlay.showModal();
    });
  }

  async function requestIssueBillingKey(request) {
    const opened = await open(request, "requestIssueBillingKey");
    if (!opened.redirects) return show(opened);
    location.assign(home + opened.path);
  }

  let ui;

  async function loadIssueBillingKeyUI(request, callbacks) {
    const refuse = (message) => failure("LoadIssueBillingKeyUIError", { code: "BadRequest", message });
    const place = document.querySelector(".portone-ui-container");
    if (!place) throw refuse("there is no element of the class portone-ui-container");
    if (request?.uiType !== "PAYPAL_RT") throw refuse("`uiType` must be PAYPAL_RT");
    const mine = (ui = { request });
    const button = document.createElement("button");
    button.id = "portone-sandbox-paypal";
    button.type = "button";
    button.setAttribute("aria-label", "PayPal");
    button.style.cssText = "width:100%;min-height:48px;border:0;border-radius:6px;background:#ffc439;cursor:pointer;" +
      "font:italic 800 20px/1 Verdana,Arial,sans-serif";
    for (const [text, color] of [["Pay", "#003087"], ["Pal", "#0070ba"]]) {
      const part = document.createElement("span");
      part.textContent = text;
      part.style.color = color;
      button.append(part);
    }
    button.addEventListener("click", async () => {
      button.disabled = true;
      let result;
      try {
        // A request for PayPal's button names no language; the window speaks the page's.
        const request = { locale: document.documentElement.lang || undefined, ...mine.request };
        result = await show(await open(request, "loadIssueBillingKeyUI"));
        if (result.code !== undefined) result = failure("IssueBillingKeyError", result);
      } catch (error) {
        result = error;
      }
      button.disabled = false;
      if (result instanceof Error) callbacks.onIssueBillingKeyFail(result);
      else callbacks.onIssueBillingKeySuccess(result);
    });
    place.replaceChildren(button);
  }

  async function updateLoadIssueBillingKeyUIRequest(request) {
    if (!ui) {
      throw failure("LoadIssueBillingKeyUIError", { code: "BadRequest", message: "loadIssueBillingKeyUI was not called yet" });
    }
    ui.request = request;
  }

  window.PortOne = Object.freeze({ requestIssueBillingKey, loadIssueBillingKeyUI, updateLoadIssueBillingKeyUIRequest });
})();
