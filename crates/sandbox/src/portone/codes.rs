//! The codes that the contract admits.

use serde::Deserialize;

/// Currencies, ISO 4217.
const CURRENCIES: &str = "\
    KRW USD JPY AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN \
    BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL \
    GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD KES KGS KHR KMF KPW KWD KYD KZT LAK \
    LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB \
    PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB \
    TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD \
    XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWL";

/// Countries, ISO 3166-1 alpha-2.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM \
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Gateways, in `PortOne`'s names.
const PG_PROVIDERS: &str = "\
    HTML5_INICIS PAYPAL PAYPAL_V2 INICIS DANAL NICE DANAL_TPAY JTNET UPLUS NAVERPAY KAKAO SETTLE KCP MOBILIANS \
    KAKAOPAY NAVERCO SYRUP KICC EXIMBAY SMILEPAY PAYCO KCP_BILLING ALIPAY PAYPLE CHAI BLUEWALNUT SMARTRO SMARTRO_V2 \
    PAYMENTWALL TOSSPAYMENTS KCP_QUICK DAOU GALAXIA TOSSPAY KCP_DIRECT SETTLE_ACC SETTLE_FIRM INICIS_UNIFIED KSNET \
    PINPAY NICE_V2 TOSS_BRANDPAY WELCOME TOSSPAY_V2 INICIS_V2 KPN KCP_V2 HYPHEN EXIMBAY_V2 INICIS_JP \
    PAYLETTER_GLOBAL MOBILIANS_V2 TRIPLE_A KICC_V2 INNOPAY HECTO_GLOBAL";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident in $list:ident, $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(pub(crate) String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(code: String) -> Result<Self, String> {
                if $list.split(' ').any(|known| known == code) { Ok(Self(code)) } else { Err(format!(concat!("`{}` is not a ", $what), code)) }
            }
        }
    )+};
}

codes! {
    /// A currency of the contract.
    Currency in CURRENCIES, "currency";
    /// A country of the contract.
    Country in COUNTRIES, "country";
    /// A gateway of the contract.
    PgProvider in PG_PROVIDERS, "gateway";
}
