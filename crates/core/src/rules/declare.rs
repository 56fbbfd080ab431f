//! The macro by which a rule describes itself.

/// Declares the description of a rule; its Markdown is the doc comment.
macro_rules! declare_rule {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            id: $id:literal,
            title: $title:literal,
            group: $group:ident,
            action: $action:ident,
            since: $since:literal,
            judges: [$($kind:ident: [$($operation:ident),+]),*],
            source: $source:literal
            $(, $extra:ident: $value:expr)* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl $crate::rules::Describe for $name {
            #[allow(clippy::needless_update, reason = "one rule says all that others leave out")]
            const META: $crate::rules::Meta = $crate::rules::Meta {
                id: $id,
                title: $title,
                group: $crate::rules::Group::$group,
                action: $crate::rules::Action::$action,
                since: $since,
                judges: &[$((
                    $crate::object::Kind::$kind,
                    &[$($crate::change::Operation::$operation),+],
                )),*],
                source: $source,
                docs: concat!($($doc, "\n"),*),
                bad: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/../../policies/rules/", $id, "/fail/example.yaml"
                )),
                good: include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/../../policies/rules/", $id, "/pass/example.yaml"
                )),
                $($extra: $value,)*
                ..$crate::rules::Meta::DEFAULT
            };
        }
    };
}
