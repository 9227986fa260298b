// The page of a window of the sandbox: shows what is asked for, and asks how it is to end.
"use strict";
const texts = {
  ko: {
    notice: "연습용 화면입니다. 실제 카드에서 결제되지 않습니다.",
    close: "창 닫기",
    cardTitle: "카드 등록",
    paypalTitle: "PayPal 자동 결제 동의",
    merchant: "상품",
    amount: "표시 금액",
    customer: "구매자",
    number: "카드 번호",
    expiry: "유효 기간 (월 / 년)",
    account: "PayPal 계정",
    cardNote: "실제 정보를 입력하지 마세요. 여기 적은 값은 어디로도 전송되지 않습니다.",
    controls: "샌드박스에서 일어날 일",
    ending: "등록 결과",
    approve: "승인",
    approveUnheard: "승인 후 브라우저 종료 (페이지는 모름)",
    decline: "PG사 거절",
    broken: "PG사 코드 없는 오류",
    reason: "거절 사유 또는 PG사 코드",
    behavior: "이후 청구할 때의 동작",
    submitCard: "카드 등록하기",
    submitPaypal: "동의하고 계속하기",
    cancel: "취소",
    busy: "처리 중…",
    unheard: "빌링키가 발급되었지만 페이지는 이를 모릅니다. 이 창이나 탭을 닫으세요.",
    over: "이미 끝난 창입니다. 처음부터 다시 시작하세요.",
    unreachable: "샌드박스에 연결할 수 없습니다. 다시 시도하세요.",
  },
  en: {
    notice: "Practice only. No card is charged.",
    close: "Close the window",
    cardTitle: "Register a card",
    paypalTitle: "Agree to recurring payments with PayPal",
    merchant: "For",
    amount: "Amount shown",
    customer: "Customer",
    number: "Card number",
    expiry: "Expiry (month / year)",
    account: "PayPal account",
    cardNote: "Do not enter real details. What you type here is sent nowhere.",
    controls: "What happens in the sandbox",
    ending: "This registration",
    approve: "is approved",
    approveUnheard: "is approved, then the browser dies (the page never hears)",
    decline: "is declined by the gateway",
    broken: "fails without a gateway's code",
    reason: "Reason, or the gateway's code",
    behavior: "When the key is charged later",
    submitCard: "Register the card",
    submitPaypal: "Agree and continue",
    cancel: "Cancel",
    busy: "Working…",
    unheard: "The billing key is issued, and the page does not know. Close this window or tab.",
    over: "This window has ended. Start again from the beginning.",
    unreachable: "The sandbox cannot be reached. Try again.",
  },
};
const here = location.pathname;
const at = (id) => document.getElementById(id);
const framed = parent !== window;
let text = texts.ko;

// The page takes messages of its own frame only, and whoever frames this window is who opened it: no one else knows its address.
const tell = (result) => parent.postMessage({ result }, "*");

const finish = (words) => {
  at("form").hidden = true;
  at("done").textContent = words;
  at("done").hidden = false;
  at("window").dataset.ready = "ended";
};

function money(amount, currency) {
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function fill(view) {
  text = texts[view.locale];
  document.documentElement.lang = view.locale;
  document.body.dataset.kind = view.paypal ? "paypal" : "card";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text[element.dataset.text];
  document.title = "[SANDBOX] " + (view.paypal ? text.paypalTitle : text.cardTitle);
  at("title").textContent = view.paypal ? text.paypalTitle : text.cardTitle;
  at("gateway").textContent = view.pgProvider + " · " + view.channelKey;
  at("submit").textContent = view.paypal ? text.submitPaypal : text.submitCard;
  at("card").hidden = view.paypal;
  at("paypal").hidden = !view.paypal;
  at("close").hidden = !framed;
  at("close").setAttribute("aria-label", text.close);
  const facts = [
    [text.merchant, view.issueName],
    [text.amount, view.displayAmount !== null && view.currency ? money(view.displayAmount, view.currency) : null],
    [text.customer, [view.customer.name, view.customer.email].filter(Boolean).join(" · ")],
  ];
  for (const [name, value] of facts.filter(([, value]) => value)) {
    for (const [tag, words] of [["dt", name], ["dd", value]]) {
      const element = document.createElement(tag);
      element.textContent = words;
      at("facts").append(element);
    }
  }
  for (const [list, values] of [["reasons", view.reasons], ["behaviors", view.behaviors]]) {
    at(list).append(...values.map((value) => new Option(value, value)));
  }
}

const choose = () => {
  const ending = at("ending").value;
  at("reason-row").hidden = ending !== "decline";
  at("behavior-row").hidden = !ending.startsWith("approve");
};

async function end(ending) {
  const buttons = [at("submit"), at("cancel")];
  const words = at("submit").textContent;
  for (const button of buttons) button.disabled = true;
  at("submit").textContent = text.busy;
  at("error").textContent = "";
  let answer;
  let problem = null;
  try {
    const headers = { "content-type": "application/json" };
    const response = await fetch(here + "/end", { method: "POST", headers, body: JSON.stringify(ending) });
    answer = await response.json();
    if (!response.ok) problem = answer.message;
  } catch {
    problem = text.unreachable;
  }
  if (problem !== null) {
    for (const button of buttons) button.disabled = false;
    at("submit").textContent = words;
    at("error").textContent = problem;
  } else if (!answer.result) finish(text.unheard);
  else if (answer.redirect) location.replace(answer.redirect);
  else tell(answer.result);
}

at("ending").addEventListener("change", choose);
at("cancel").addEventListener("click", () => end({ ending: "cancel" }));
at("close").addEventListener("click", () => tell(null));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && framed) tell(null);
});
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const ending = at("ending").value;
  if (ending === "decline") end({ ending, reason: at("reason").value.trim() });
  else if (ending === "error") end({ ending });
  else end({ ending, behavior: at("behavior").value.trim() });
});

(async () => {
  let view;
  try {
    const response = await fetch(here + "/view");
    if (response.ok) view = await response.json();
  } catch {
    // As if it were not there.
  }
  if (view) fill(view);
  else at("title").textContent = "PortOne sandbox";
  if (!view || view.ended) {
    at("close").hidden = !framed;
    finish(text.over);
    return;
  }
  choose();
  at("form").hidden = false;
  at("window").dataset.ready = "true";
  at("title").focus();
})();
