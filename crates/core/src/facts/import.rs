//! Facts from the document that [`Facts::export`] writes, an object at a time.
//!
//! The document of a large cluster is larger than its facts. So it is read twice: what it says of whole
//! kinds may stand behind the objects, and is needed before them.

use std::fmt;
use std::io::{Read, Result as IoResult};

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::export::{Document, Unreadable};
use super::{FACT_KINDS, FactKind, FactKindInfo, Facts, Known};

impl Facts {
    /// Takes in what [`Facts::export`] wrote.
    ///
    /// # Errors
    /// What is no such document, or an object of a kind from which no facts are read.
    pub fn import(&mut self, json: &str) -> Result<(), String> {
        self.import_each(|| Ok(json.as_bytes()))
    }

    /// Takes in what [`Facts::export`] wrote, without holding the document in memory. `open` starts at its
    /// beginning each time.
    ///
    /// # Errors
    /// As with [`Facts::import`], or what cannot be read.
    pub fn import_each<R: Read>(&mut self, open: impl Fn() -> IoResult<R>) -> Result<(), String> {
        let open = || open().map_err(|error| error.to_string());
        let head: Document<IgnoredAny> =
            serde_json::from_reader(open()?).map_err(|error| error.to_string())?;
        if self.records.why_unknown().is_some() {
            let info = FactKind::Record.info();
            let why = format!("the {}, which an export does not hold", info.many);
            self.forget(info.kind, Known::Nothing(&why));
        }
        for name in &head.complete {
            let info = info(name)?;
            let namespace = head.namespace.as_deref().filter(|_| info.namespaced);
            self.forget(info.kind, namespace.map_or(Known::All, Known::Namespace));
        }
        for (name, why) in &head.unknown {
            let why = why.as_str().unwrap_or("a cluster to look at");
            self.forget(info(name)?.kind, Known::Nothing(why));
        }
        let mut items = serde_json::Deserializer::from_reader(open()?);
        Items(self).deserialize(&mut items).map_err(|error| error.to_string())?;
        for Unreadable { kind, namespace, name, why } in &head.unreadable {
            self.insert_unknown(info(kind)?.kind, namespace, name, why);
        }
        Ok(())
    }

    fn import_item(&mut self, item: &RawValue) -> Result<(), String> {
        let Head { kind, metadata: Place { namespace, name } } =
            serde_json::from_str(item.get()).map_err(|error| error.to_string())?;
        let of: FactKind = info(&kind)?.kind;
        self.take_in(of, item, Some((&namespace, &name)))
            .map_err(|why| format!("{kind} {namespace}/{name}, {why}"))
    }
}

fn info(name: &str) -> Result<&'static FactKindInfo, String> {
    let info = FACT_KINDS.iter().find(|info| info.name == name);
    info.ok_or_else(|| format!("no facts are read from kind \"{name}\""))
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Place,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    namespace: String,
    name: String,
}

/// Reads the document for its objects.
struct Items<'f>(&'f mut Facts);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("facts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key::<String>()? {
            if field == "items" {
                fields.next_value_seed(Each(self.0))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Takes in one object after another.
struct Each<'f>(&'f mut Facts);

impl<'de> DeserializeSeed<'de> for Each<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<Box<RawValue>>()? {
            self.0.import_item(&item).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}
