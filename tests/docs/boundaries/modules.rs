//! Which module of a crate names which, read from the tokens of its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The segments of a path. The path of a module starts below the root of its crate.
pub(crate) type Segments = Vec<String>;

/// The modules of one crate, with what they name outside of their unit tests.
#[derive(Default)]
pub(crate) struct Modules {
    named: BTreeMap<Segments, BTreeSet<Segments>>,
    imported: BTreeMap<(Segments, String), Segments>,
}

impl Modules {
    /// Reads the Rust files below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut modules = Self::default();
        for (module, source) in sources(root) {
            modules.add(&module, &source);
        }
        modules
    }

    /// Adds the source of one module.
    pub(crate) fn add(&mut self, module: &[String], source: &str) {
        self.named.entry(module.to_vec()).or_default();
        for path in paths(source) {
            let module = [module, &path.inside].concat();
            let Some(target) = below_root(&module, &path.segments) else { continue };
            self.named.entry(module.clone()).or_default().insert(target.clone());
            if let Some(name) = path.imported_as {
                self.imported.insert((module, name), target);
            }
        }
    }

    /// For each module with children, the groups of children that name each other in a circle.
    pub(crate) fn cycles(&self) -> BTreeSet<Vec<String>> {
        let mut graphs: BTreeMap<&[String], BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        let resolved: Vec<(&Segments, Segments)> = self
            .named
            .iter()
            .flat_map(|(from, named)| named.iter().map(move |path| (from, self.resolve(path))))
            .collect();
        for (from, to) in &resolved {
            let shared = from.iter().zip(to).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                let graph = graphs.entry(&from[..shared]).or_default();
                graph.entry(one).or_default().insert(other);
            }
        }
        graphs
            .iter()
            .flat_map(|(parent, graph)| {
                circles(graph).into_iter().map(move |names| {
                    names
                        .iter()
                        .map(|name| [parent, &[(*name).to_owned()][..]].concat().join("::"))
                        .collect()
                })
            })
            .collect()
    }

    /// The modules at the top of the crate.
    pub(crate) fn top(&self) -> BTreeSet<&str> {
        self.named.keys().filter_map(|module| Some(module.first()?.as_str())).collect()
    }

    /// The module in which the item of a path is declared, through imports that pass it on.
    fn resolve(&self, path: &[String]) -> Segments {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let depth = (0..=path.len()).rev().find(|end| self.named.contains_key(&path[..*end]));
            let depth = depth.unwrap_or(0);
            let Some(name) = path.get(depth) else { return path };
            let Some(target) = self.imported.get(&(path[..depth].to_vec(), name.clone())) else {
                path.truncate(depth);
                return path;
            };
            path = [target, &path[depth + 1..]].concat();
        }
        path
    }
}

/// The Rust files below `root`, each with the path of its module.
pub(crate) fn sources(root: &Path) -> Vec<(Segments, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(
                sources(&path)
                    .into_iter()
                    .map(|(module, text)| ([vec![name.clone()], module].concat(), text)),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if name == "lib" || name == "main" { vec![] } else { vec![name] };
            found.push((module, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// A path that a source names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Segments,
    /// The modules of the file that surround it.
    inside: Segments,
    /// The name under which a `use` makes it known.
    imported_as: Option<String>,
}

/// Every path of two or more segments in `source`, but for items under `#[cfg(test)]`.
pub(crate) fn paths(source: &str) -> Vec<Named> {
    let mut found = Vec::new();
    scan(source.parse().unwrap(), &[], &mut found);
    found
}

fn scan(tokens: TokenStream, inside: &[String], found: &mut Vec<Named>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_test_attribute(&tokens[at..]) {
            at = after_item(&tokens, at + 2);
            continue;
        }
        match token {
            TokenTree::Ident(name) if name == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    scan(body.stream(), &[inside, &[name.to_string()]].concat(), found);
                    at += 3;
                    continue;
                }
            }
            TokenTree::Ident(name) if name == "use" => {
                let mut leaves = Vec::new();
                at = read_tree(&tokens, at + 1, &[], &mut leaves);
                found.extend(leaves.into_iter().map(|(segments, name)| Named {
                    segments,
                    inside: inside.to_vec(),
                    imported_as: Some(name),
                }));
                continue;
            }
            TokenTree::Ident(_) if colons(&tokens, at + 1) => {
                let mut leaves = Vec::new();
                at = read_tree(&tokens, at, &[], &mut leaves);
                found.extend(leaves.into_iter().map(|(segments, _)| Named {
                    segments,
                    inside: inside.to_vec(),
                    imported_as: None,
                }));
                continue;
            }
            TokenTree::Group(group) => scan(group.stream(), inside, found),
            _ => {}
        }
        at += 1;
    }
}

/// Reads one path or tree of paths, and returns where it ends.
fn read_tree(
    tokens: &[TokenTree],
    mut at: usize,
    before: &[String],
    leaves: &mut Vec<(Segments, String)>,
) -> usize {
    let mut path = before.to_vec();
    if colons(tokens, at) {
        at += 2;
    }
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut next = 0;
                while next < inner.len() {
                    next = read_tree(&inner, next, &path, leaves).max(next) + 1;
                }
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if !colons(tokens, at) {
            break;
        }
        at += 2;
    }
    if path.len() > before.len() && path.last().is_some_and(|name| name == "self") && path.len() > 1
    {
        path.pop();
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if let (Some(TokenTree::Ident(word)), Some(TokenTree::Ident(alias))) =
        (tokens.get(at), tokens.get(at + 1))
        && word == "as"
    {
        name = alias.to_string();
        at += 2;
    }
    leaves.push((path, name));
    at
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon =
        |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(sign)) if sign.as_char() == ':');
    is_colon(at) && is_colon(at + 1)
}

fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(sign), TokenTree::Group(group), ..] = tokens else { return false };
    let text: String = group.stream().to_string().split_whitespace().collect();
    sign.as_char() == '#' && text == "cfg(test)"
}

/// Where the item that starts at `at` ends: at its body or semicolon.
fn after_item(tokens: &[TokenTree], at: usize) -> usize {
    let length = tokens[at..].iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(sign) => sign.as_char() == ';',
        _ => false,
    });
    length.map_or(tokens.len(), |length| at + length + 1)
}

/// A path that starts with `crate`, `self` or `super`, from the root of the crate.
fn below_root(module: &[String], path: &[String]) -> Option<Segments> {
    let mut base = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for segment in path {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => _ = base.pop(),
            name => base.push(name.to_owned()),
        }
    }
    Some(base)
}

/// The groups of two or more that reach each other.
fn circles<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<Vec<&'a str>> {
    let reach = |start: &'a str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(name) = open.pop() {
            for next in graph.get(name).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|name| (*name, reach(name))).collect();
    let both = |one: &str, other: &str| {
        reached.get(one).is_some_and(|seen| seen.contains(other))
            && reached.get(other).is_some_and(|seen| seen.contains(one))
    };
    reached
        .keys()
        .map(|one| reached.keys().copied().filter(|other| both(one, other)).collect::<Vec<_>>())
        .filter(|names| names.len() > 1)
        .collect()
}
