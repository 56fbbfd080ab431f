//! Objects of one kind, shared between the states of a cluster that differ in few of them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::Fact;

/// Objects of one kind by namespace and name; the namespace is empty for a kind that has none.
///
/// A clone shares everything. A change copies the pointers of one namespace, not the objects.
#[derive(Clone, Debug)]
pub struct Objects<T> {
    extent: Extent,
    namespaces: Arc<BTreeMap<Arc<str>, Names<T>>>,
    /// the objects that exist but are not known, with the reason
    unknown: Arc<BTreeMap<Arc<str>, Names<str>>>,
}

type Names<T> = Arc<BTreeMap<Arc<str>, Arc<T>>>;

/// Objects of a kind that have parts in common, such as the labels of all claims of a set. Memory holds
/// such a part once if an object is told of its neighbour.
pub trait Alike {
    /// Takes the parts of `other` that are equal in place of its own.
    fn share(&mut self, _other: &Self) {}
}

macro_rules! nothing_to_share {
    ($($kind:ty)*) => { $(impl Alike for $kind {})* };
}

nothing_to_share! {
    super::AttributesClassFact super::AutoscalerFact super::BudgetFact super::ClassFact
    super::NamespaceFact super::NodeFact super::PodFact super::QuotaFact super::RecordFact super::ServiceFact super::SetFact
    super::SnapshotClassFact super::SnapshotContentFact super::SnapshotFact Vec<String>
}

/// Takes an equal part of another object.
pub(super) fn share<T: Eq + ?Sized>(own: &mut Arc<T>, other: &Arc<T>) {
    if own == other {
        own.clone_from(other);
    }
}

/// The objects of a namespace that are known.
#[derive(Clone, Debug)]
pub struct Seen<'o, T> {
    /// each with its name
    pub objects: Vec<(&'o str, &'o T)>,
    /// there are no others
    pub all: bool,
}

/// What an object that is not there means.
#[derive(Clone, Debug)]
enum Extent {
    /// some are known: one that is not among them may exist. Holds the name of the kind
    Inputs(&'static str),
    /// all are known
    All,
    /// all of one namespace are known. Holds the name of the kind as well
    Namespace(&'static str, Arc<str>),
    /// nothing is known, for this reason
    Unknown(Arc<str>),
}

impl<T> Objects<T> {
    /// Those among some inputs; others of this kind may exist.
    pub fn inputs(kind: &'static str) -> Self {
        Self::none(Extent::Inputs(kind))
    }

    /// All that there are: none so far.
    pub fn all() -> Self {
        Self::none(Extent::All)
    }

    /// All that there are in one namespace: none so far.
    pub fn of_namespace(kind: &'static str, namespace: &str) -> Self {
        Self::none(Extent::Namespace(kind, Arc::from(namespace)))
    }

    /// Nothing is known; `why` completes "needs …".
    pub fn unknown(why: impl Into<Arc<str>>) -> Self {
        Self::none(Extent::Unknown(why.into()))
    }

    fn none(extent: Extent) -> Self {
        Self { extent, namespaces: Arc::default(), unknown: Arc::default() }
    }

    /// The object, or that there is none.
    pub fn get(&self, namespace: &str, name: &str) -> Fact<Option<&T>> {
        let found = self.namespaces.get(namespace).and_then(|names| names.get(name));
        if let Some(why) = self.unknown.get(namespace).and_then(|names| names.get(name)) {
            return Fact::Unknown(why.to_string());
        }
        match (found, &self.extent) {
            (Some(object), _) => Fact::Known(Some(object)),
            (None, Extent::All) => Fact::Known(None),
            (None, Extent::Namespace(_, all)) if **all == *namespace => Fact::Known(None),
            (None, Extent::Inputs(kind)) if namespace.is_empty() => {
                Fact::Unknown(format!("{kind} {name}"))
            }
            (None, Extent::Inputs(kind) | Extent::Namespace(kind, _)) => {
                Fact::Unknown(format!("{kind} {namespace}/{name}"))
            }
            (None, Extent::Unknown(why)) => Fact::Unknown(why.to_string()),
        }
    }

    /// The object called `name`, if no other namespace has one of that name.
    pub fn only(&self, name: &str) -> Option<&T> {
        let mut found = self.namespaces.values().filter_map(|names| names.get(name));
        found.next().filter(|_| found.next().is_none()).map(|object| &**object)
    }

    /// All objects of a namespace, where all are known.
    pub fn of(&self, namespace: &str) -> Fact<impl Iterator<Item = (&str, &T)>> {
        let unknown = self.unknown.get(namespace).and_then(|names| names.values().next());
        if let Some(why) = unknown {
            return Fact::Unknown(why.to_string());
        }
        match &self.extent {
            Extent::Namespace(kind, all) if **all != *namespace => {
                Fact::Unknown(format!("every {kind} of {namespace}"))
            }
            Extent::All | Extent::Namespace(..) => {
                let names = self.namespaces.get(namespace).into_iter().flat_map(|n| n.iter());
                Fact::Known(names.map(|(name, object)| (&**name, &**object)))
            }
            Extent::Inputs(kind) => Fact::Unknown(format!("every {kind} of {namespace}")),
            Extent::Unknown(why) => Fact::Unknown(why.to_string()),
        }
    }

    /// The known objects of a namespace whose names begin so. The others take no time.
    pub fn beginning_with<'p>(
        &self,
        namespace: &str,
        prefix: &'p str,
    ) -> impl Iterator<Item = (&str, &T)> + use<'_, 'p, T> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let names = self.namespaces.get(namespace).into_iter();
        let names = names.flat_map(move |names| names.range::<str, _>(from));
        let begin = names.take_while(move |(name, _)| name.starts_with(prefix));
        begin.map(|(name, object)| (&**name, &**object))
    }

    /// The objects of all namespaces, each with its namespace and name, where all are known. Those that
    /// could not be read are left out.
    pub fn everywhere(&self) -> Fact<impl Iterator<Item = (&str, &str, &T)>> {
        match &self.extent {
            Extent::All => Fact::Known(self.iter()),
            Extent::Inputs(kind) | Extent::Namespace(kind, _) => {
                Fact::Unknown(format!("every {kind} of the cluster"))
            }
            Extent::Unknown(why) => Fact::Unknown(why.to_string()),
        }
    }

    /// The objects of a namespace that are known, and whether there may be others, as beside manifests.
    /// A manifest may leave its namespace to the command that applies it. Unknown if there are objects
    /// that could not be read.
    pub fn seen(&self, namespace: &str) -> Fact<Seen<'_, T>> {
        if !matches!(self.extent, Extent::Inputs(_)) {
            return self.of(namespace).map(|all| Seen { objects: all.collect(), all: true });
        }
        let unnamed = Some("").filter(|_| !namespace.is_empty());
        let namespaces = || std::iter::once(namespace).chain(unnamed);
        let unknown = |namespace| self.unknown.get(namespace).and_then(|n| n.values().next());
        if let Some(why) = namespaces().find_map(unknown) {
            return Fact::Unknown(why.to_string());
        }
        let names = namespaces().filter_map(|namespace| self.namespaces.get(namespace));
        let objects = names.flat_map(|names| names.iter().map(|(name, one)| (&**name, &**one)));
        Fact::Known(Seen { objects: objects.collect(), all: false })
    }

    /// Why nothing is known, if nothing is.
    pub fn why_unknown(&self) -> Option<&str> {
        match &self.extent {
            Extent::Unknown(why) => Some(why),
            _ => None,
        }
    }

    /// Whether all objects of the kind are known, or all of one namespace.
    pub const fn are_all(&self) -> bool {
        matches!(self.extent, Extent::All | Extent::Namespace(..))
    }

    /// Every object that is known, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &T)> {
        self.namespaces.iter().flat_map(|(namespace, names)| {
            names.iter().map(move |(name, object)| (&**namespace, &**name, &**object))
        })
    }

    /// The objects that exist and could not be read, with the reason.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.unknown.iter().flat_map(|(namespace, names)| {
            names.iter().map(move |(name, why)| (&**namespace, &**name, &**why))
        })
    }

    /// Puts an object in, or in the place of the one of the same name.
    pub fn insert(&mut self, namespace: &str, name: &str, mut object: T)
    where
        T: Alike,
    {
        take(&mut self.unknown, namespace, name);
        let names = self.namespaces.get(namespace);
        let until = (Bound::Unbounded, Bound::Included(name));
        if let Some((_, neighbour)) = names.and_then(|n| n.range::<str, _>(until).next_back()) {
            object.share(neighbour);
        }
        put(&mut self.namespaces, namespace, name, Arc::new(object));
    }

    /// Puts in that an object exists of which nothing is known; `why` completes "needs …".
    pub fn insert_unknown(&mut self, namespace: &str, name: &str, why: &str) {
        take(&mut self.namespaces, namespace, name);
        put(&mut self.unknown, namespace, name, Arc::from(why));
    }

    /// Takes an object out.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        take(&mut self.unknown, namespace, name);
        take(&mut self.namespaces, namespace, name);
    }
}

fn put<T: ?Sized>(
    namespaces: &mut Arc<BTreeMap<Arc<str>, Names<T>>>,
    namespace: &str,
    name: &str,
    object: Arc<T>,
) {
    let namespaces = Arc::make_mut(namespaces);
    let names = match namespaces.get_mut(namespace) {
        Some(names) => names,
        None => namespaces.entry(Arc::from(namespace)).or_default(),
    };
    Arc::make_mut(names).insert(Arc::from(name), object);
}

fn take<T: ?Sized>(
    namespaces: &mut Arc<BTreeMap<Arc<str>, Names<T>>>,
    namespace: &str,
    name: &str,
) {
    // What is not there must not cost a copy.
    if !namespaces.get(namespace).is_some_and(|names| names.contains_key(name)) {
        return;
    }
    let namespaces = Arc::make_mut(namespaces);
    if let Some(names) = namespaces.get_mut(namespace) {
        Arc::make_mut(names).remove(name);
        if names.is_empty() {
            namespaces.remove(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ClaimFact;

    nothing_to_share! { u8 i32 }

    #[test]
    fn claims_of_a_set_share_what_is_equal() {
        let claim = |class: &str| ClaimFact {
            class: class.into(),
            labels: Arc::new(BTreeMap::from([("app".to_owned(), "db".to_owned())])),
            ..ClaimFact::default()
        };
        let mut claims = Objects::all();
        for (name, class) in [("data-db-0", "fast"), ("data-db-1", "slow"), ("data-db-2", "slow")] {
            claims.insert("shop", name, claim(class));
        }
        let of = |name| match claims.get("shop", name) {
            Fact::Known(Some(claim)) => claim,
            other => panic!("{other:?}"),
        };
        let (zero, one, two) = (of("data-db-0"), of("data-db-1"), of("data-db-2"));
        assert!(Arc::ptr_eq(&zero.labels, &one.labels) && Arc::ptr_eq(&one.labels, &two.labels));
        assert!(Arc::ptr_eq(&one.class, &two.class) && &*zero.class == "fast");
        assert_eq!(*two, claim("slow"));
    }

    #[test]
    fn what_is_absent_means_what_is_known_of_the_rest() {
        let mut all = Objects::all();
        all.insert("shop", "db", 1);
        assert_eq!(all.get("shop", "db"), Fact::Known(Some(&1)));
        assert_eq!(all.get("shop", "web"), Fact::Known(None));
        let shop: Objects<u8> = Objects::of_namespace("Lamp", "shop");
        assert_eq!(shop.get("shop", "db"), Fact::Known(None));
        assert_eq!(shop.get("lab", "db"), Fact::Unknown("Lamp lab/db".to_owned()));
        assert!(matches!((shop.of("shop"), shop.of("lab")), (Fact::Known(_), Fact::Unknown(_))));
        let inputs: Objects<u8> = Objects::inputs("Lamp");
        assert_eq!(inputs.get("shop", "db"), Fact::Unknown("Lamp shop/db".to_owned()));
        assert_eq!(inputs.get("", "db"), Fact::Unknown("Lamp db".to_owned()));
        let unknown: Objects<u8> = Objects::unknown("light");
        assert_eq!(unknown.get("shop", "db"), Fact::Unknown("light".to_owned()));
        assert!(matches!(inputs.of("shop"), Fact::Unknown(_)));
    }

    #[test]
    fn an_object_is_found_without_its_namespace_if_no_other_has_its_name() {
        let mut objects = Objects::inputs("Lamp");
        objects.insert("shop", "db", 1);
        assert_eq!((objects.only("db"), objects.only("web")), (Some(&1), None));
        objects.insert("lab", "db", 2);
        assert_eq!(objects.only("db"), None);
    }

    #[test]
    fn what_is_seen_beside_manifests_may_lack_its_namespace_and_is_not_all() {
        let mut inputs = Objects::inputs("Lamp");
        inputs.insert("shop", "a", 1);
        inputs.insert("", "b", 2);
        inputs.insert("lab", "c", 3);
        let seen = |objects: &Objects<u8>, namespace: &str| match objects.seen(namespace) {
            Fact::Known(Seen { objects, all }) => {
                Ok((objects.iter().map(|(name, _)| (*name).to_owned()).collect::<String>(), all))
            }
            Fact::Unknown(why) => Err(why),
        };
        assert_eq!(seen(&inputs, "shop"), Ok(("ab".to_owned(), false)));
        assert_eq!(seen(&inputs, ""), Ok(("b".to_owned(), false)));
        inputs.insert_unknown("", "odd", "the odd one");
        assert_eq!(seen(&inputs, "shop"), Err("the odd one".to_owned()));
        let mut all = Objects::all();
        all.insert("shop", "a", 1);
        all.insert("", "b", 2);
        assert_eq!(seen(&all, "shop"), Ok(("a".to_owned(), true)));
        assert_eq!(seen(&Objects::unknown("light"), "shop"), Err("light".to_owned()));
    }

    #[test]
    fn an_unknown_object_hides_no_object_of_another_namespace() {
        let mut objects = Objects::all();
        objects.insert("shop", "db", 1);
        objects.insert("lab", "db", 2);
        objects.insert_unknown("lab", "odd", "the odd one");
        objects.insert_unknown("lab", "db", "db, too");
        assert_eq!(objects.get("lab", "db"), Fact::Unknown("db, too".to_owned()));
        assert_eq!(objects.get("lab", "web"), Fact::Known(None));
        assert!(matches!(objects.of("lab"), Fact::Unknown(_)));
        assert!(matches!(objects.of("shop"), Fact::Known(_)));
        objects.remove("lab", "odd");
        objects.insert("lab", "db", 3);
        assert_eq!(objects.get("lab", "db"), Fact::Known(Some(&3)));
        assert!(matches!(objects.of("lab"), Fact::Known(_)));
    }

    #[test]
    fn a_clone_stays_as_it_was() {
        let mut objects = Objects::all();
        objects.insert("shop", "db", 1);
        objects.insert("lab", "db", 2);
        let before = objects.clone();
        objects.insert("shop", "db", 3);
        objects.remove("lab", "db");
        objects.remove("lab", "db");
        assert_eq!(before.get("shop", "db"), Fact::Known(Some(&1)));
        assert_eq!(before.get("lab", "db"), Fact::Known(Some(&2)));
        assert_eq!(objects.get("shop", "db"), Fact::Known(Some(&3)));
        assert_eq!(objects.get("lab", "db"), Fact::Known(None));
        let Fact::Known(shop) = objects.of("shop") else { panic!("all are known") };
        assert_eq!(shop.collect::<Vec<_>>(), [("db", &3)]);
    }
}
