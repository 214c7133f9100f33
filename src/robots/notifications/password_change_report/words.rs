//! What a report says, in the languages that are known.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::summary::Ending;
use crate::domain::operation::ChangeCause;

/// A language of reports; its name is its tag (BCP 47).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// Portuguese, as in Brazil.
    #[serde(rename = "pt")]
    Portuguese,
    /// Spanish.
    #[serde(rename = "es")]
    Spanish,
}

impl Language {
    /// The one of a locale such as `pt-BR`; none where it is not known.
    pub(super) fn of(locale: &str) -> Option<Self> {
        let tag = locale.split(['-', '_']).next()?;
        let known = [Self::English, Self::Portuguese, Self::Spanish];
        let has_tag = |one: &Self| tag.eq_ignore_ascii_case(one.words().tag);
        known.into_iter().find(has_tag)
    }

    /// What is said in it.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Portuguese => &PORTUGUESE,
            Self::Spanish => &SPANISH,
        }
    }
}

/// Words of one language; `{}` stands where something is filled in, in the same order in all of them.
#[derive(Debug)]
pub(super) struct Words {
    /// The language's tag.
    pub tag: &'static str,
    /// Of the report.
    pub title: &'static str,
    /// From when to when.
    pub period: &'static str,
    /// No change at all.
    pub none: &'static str,
    /// A part of a report, and how many there are.
    pub part: &'static str,
    endings: [&'static str; 4],
    /// How many changes have not ended.
    pub open: &'static str,
    /// Heads the changes that somebody should look at.
    pub troubles: &'static str,
    /// How many changes, or devices, are left out of a list.
    pub left_out: &'static str,
    /// Heads the counts by cause.
    pub by_cause: &'static str,
    causes: [&'static str; 5],
    /// Heads the counts by device.
    pub by_device: &'static str,
    /// A device and its site.
    pub at_site: &'static str,
    /// The place of accounts that are gone.
    pub gone: &'static str,
    /// An account and its device.
    pub account: &'static str,
    /// An account that is gone, by its number.
    pub gone_account: &'static str,
    /// Who ordered a change.
    pub ordered_by: &'static str,
    /// A file's number, how many there are, its first change, its last, how many there are, and the zone of its times.
    pub file: &'static str,
    /// How many changes are in no file.
    pub in_no_file: &'static str,
    /// That there is no file, as its password is missing.
    pub file_left_out: &'static str,
    /// Before the robot's name.
    pub robot: &'static str,
    /// Before the node's name.
    pub node: &'static str,
    /// Heads the columns of a file.
    pub columns: [&'static str; 10],
}

impl Words {
    /// How a change ended.
    pub(super) const fn ending(&self, ending: Ending) -> &'static str {
        let [succeeded, failed, unverified, not_begun] = self.endings;
        match ending {
            Ending::Succeeded => succeeded,
            Ending::Failed => failed,
            Ending::Unverified => unverified,
            Ending::NotBegun => not_begun,
        }
    }

    /// Why a password was changed.
    pub(super) const fn cause(&self, cause: ChangeCause) -> &'static str {
        let [ordered, expired, viewed, recorded, used] = self.causes;
        match cause {
            ChangeCause::Ordered => ordered,
            ChangeCause::Expired => expired,
            ChangeCause::Viewed => viewed,
            ChangeCause::Recorded => recorded,
            ChangeCause::Used => used,
        }
    }
}

/// A sentence with what stands in the place of each `{}`.
pub(super) fn said(sentence: &str, values: &[&dyn Display]) -> String {
    let mut values = values.iter();
    let mut parts = sentence.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(value) = values.next() {
            text.push_str(&value.to_string());
        }
        text.push_str(part);
    }
    text
}

const ENGLISH: Words = Words {
    tag: "en",
    title: "Password changes",
    period: "from {} to {} ({})",
    none: "none",
    part: "{} of {}",
    endings: ["succeeded", "failed", "unverified", "not begun"],
    open: "{} still open",
    troubles: "To be looked at",
    left_out: "and {} more",
    by_cause: "By cause",
    causes: ["ordered", "expired", "viewed", "recorded", "used"],
    by_device: "By device",
    at_site: "`{}` at site `{}`",
    gone: "credentials that are gone",
    account: "`{}` on `{}`",
    gone_account: "credential {}, which is gone",
    ordered_by: "ordered by {}",
    file: "File {} of {} has changes {} to {} of {}; its times are those of {}.",
    in_no_file: "{} changes are in no file.",
    file_left_out: "The file is left out, because the password that locks it cannot be read.",
    robot: "Robot:",
    node: "Node:",
    columns: [
        "ended at",
        "result",
        "cause",
        "site",
        "device",
        "account",
        "ordered by",
        "attempts",
        "failure",
        "credential",
    ],
};

const PORTUGUESE: Words = Words {
    tag: "pt",
    title: "Alterações de senhas",
    period: "de {} a {} ({})",
    none: "nenhuma",
    part: "{} de {}",
    endings: ["com êxito", "com falha", "não verificadas", "não iniciadas"],
    open: "{} ainda em aberto",
    troubles: "A verificar",
    left_out: "e mais {}",
    by_cause: "Por causa",
    causes: [
        "solicitada",
        "expirada",
        "visualizada",
        "registrada",
        "utilizada",
    ],
    by_device: "Por dispositivo",
    at_site: "`{}` no site `{}`",
    gone: "credenciais que não existem mais",
    account: "`{}` em `{}`",
    gone_account: "credencial {}, que não existe mais",
    ordered_by: "solicitada por {}",
    file: "O arquivo {} de {} contém as alterações {} a {} de {}; seus horários são os de {}.",
    in_no_file: "{} alterações não estão em nenhum arquivo.",
    file_left_out: "O arquivo não foi anexado, pois a senha que o protege não pode ser lida.",
    robot: "Robô:",
    node: "Nó:",
    columns: [
        "concluída em",
        "resultado",
        "causa",
        "site",
        "dispositivo",
        "conta",
        "solicitada por",
        "tentativas",
        "falha",
        "credencial",
    ],
};

const SPANISH: Words = Words {
    tag: "es",
    title: "Cambios de contraseñas",
    period: "del {} al {} ({})",
    none: "ninguno",
    part: "{} de {}",
    endings: ["correctos", "fallidos", "sin verificar", "no iniciados"],
    open: "{} aún abiertos",
    troubles: "Por revisar",
    left_out: "y {} más",
    by_cause: "Por causa",
    causes: ["solicitado", "vencido", "consultado", "registrado", "usado"],
    by_device: "Por dispositivo",
    at_site: "`{}` en el sitio `{}`",
    gone: "credenciales que ya no existen",
    account: "`{}` en `{}`",
    gone_account: "credencial {}, que ya no existe",
    ordered_by: "solicitado por {}",
    file: "El archivo {} de {} contiene los cambios {} a {} de {}; sus horas son las de {}.",
    in_no_file: "{} cambios no están en ningún archivo.",
    file_left_out: "No se adjunta el archivo, porque no se puede leer la contraseña que lo protege.",
    robot: "Robot:",
    node: "Nodo:",
    columns: [
        "terminado",
        "resultado",
        "causa",
        "sitio",
        "dispositivo",
        "cuenta",
        "solicitado por",
        "intentos",
        "fallo",
        "credencial",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_has_the_language_of_its_first_part() {
        for (locale, language) in [
            ("pt-BR", Some(Language::Portuguese)),
            ("PT", Some(Language::Portuguese)),
            ("es_419", Some(Language::Spanish)),
            ("en-GB-oxendict", Some(Language::English)),
            ("ptx", None),
            ("", None),
        ] {
            assert_eq!(Language::of(locale), language, "{locale}");
        }
        let tag = serde_json::to_value(Language::Portuguese).unwrap();
        assert_eq!(tag, Language::Portuguese.words().tag);
    }

    #[test]
    fn all_languages_fill_in_the_same() {
        let places = |words: &Words| {
            let all = [
                words.period,
                words.part,
                words.open,
                words.left_out,
                words.at_site,
                words.account,
                words.gone_account,
                words.ordered_by,
                words.file,
                words.in_no_file,
            ];
            all.map(|sentence| sentence.matches("{}").count())
        };
        for words in [&PORTUGUESE, &SPANISH] {
            assert_eq!(places(words), places(&ENGLISH), "{}", words.tag);
        }
        assert_eq!(said(ENGLISH.account, &[&"{}", &"b"]), "`{}` on `b`");
    }
}
