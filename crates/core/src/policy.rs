//! The policy: one file, `stateward.yaml`, the same in the cluster and in CI.
//!
//! [`file`] is the file as it is written; [`Policy`] is what it compiles to: parameters bound,
//! rule names resolved, scopes in order.

mod file;
mod resize;
mod scope;
mod settings;
mod values;

use std::sync::Arc;

pub use self::file::{Help, PolicyError, PolicyFile};
use self::scope::CompiledScope;
pub use self::values::{
    AntiAffinity, Authorize, ClaimTemplateMetadata, Mode, OnError, PodDefaultSetting, Resize,
    SizeOnCreate,
};
use crate::change::{Change, Operation};
use crate::object::{DecodeError, Pointer, TextMap};
use crate::packs::{self, Packs};
use crate::rules::reserved_annotation;
use crate::rules::{Action, Check, Entry, RULES};

/// What a part of the policy says of a rule; what it leaves out, the part before it says.
#[derive(Default)]
struct Setting {
    action: Option<Action>,
    check: Option<Check>,
    help: Option<Arc<Help>>,
}

/// The compiled policy.
pub struct Policy {
    /// where it came from, for people: a file name or `built-in defaults`
    pub source: String,
    /// whether findings are enforced
    pub mode: Mode,
    /// whether annotations may relax it
    pub overrides: bool,
    /// what is answered where a review could not be judged
    pub on_error: OnError,
    /// the namespace that stateward runs in, never judged
    pub own_namespace: String,
    own_namespace_given: bool,
    /// which right a user needs whose edit becomes a request to grow
    pub authorize: Authorize,
    /// who may relax it by annotations
    pub allow: reserved_annotation::Params,
    /// users as which operators run, beside the service accounts that are taken for operators
    pub operators: Vec<String>,
    /// what is known about systems: the packs that come with stateward and those of the file
    pub packs: Arc<Packs>,
    help: Option<Arc<Help>>,
    resize: Option<Resize>,
    anti_affinity: AntiAffinity,
    pod_defaults: Vec<PodDefaultSetting>,
    size_on_create: SizeOnCreate,
    claim_template_metadata: ClaimTemplateMetadata,
    /// one per rule, in the order of [`RULES`]
    defaults: Vec<Check>,
    /// one per rule, in the order of [`RULES`]
    rules: Vec<Setting>,
    scopes: Vec<CompiledScope>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("source", &self.source)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Default for Policy {
    /// The built-in defaults.
    fn default() -> Self {
        Self::compile(PolicyFile::default(), "built-in defaults", &mut Vec::new())
    }
}

/// A rule with what the policy says of it for one change.
pub struct EffectiveRule<'p> {
    /// the rule
    pub entry: &'static Entry,
    /// what is done about its findings
    pub action: Action,
    /// the rule, its parameters bound
    pub check: &'p Check,
    /// where people get help
    pub help: Option<&'p Help>,
    /// whether the rule comes a second time, with the parameters that the old labels lead to
    pub again: bool,
}

impl Policy {
    /// Reads and compiles a policy file.
    ///
    /// # Errors
    /// Line, column and reason, with the nearest known name for an unknown one.
    pub fn parse(text: &str, source: &str) -> Result<Self, PolicyError> {
        let document = file::document(text)?;
        let mut errors = Vec::new();
        let policy = Self::compile(PolicyFile::decode(&document)?, source, &mut errors);
        match errors.first() {
            Some(error) => Err(file::placed(&document, error)),
            None => Ok(policy),
        }
    }

    /// Every error of a policy file, by line; none if [`Self::parse`] accepts it.
    pub fn errors(text: &str) -> Vec<PolicyError> {
        let document = match file::document(text) {
            Ok(document) => document,
            Err(error) => return vec![error],
        };
        let mut errors = Vec::new();
        if let Some(file) = PolicyFile::decode_rest(&document, &mut errors) {
            Self::compile(file, "", &mut errors);
        }
        let mut placed: Vec<PolicyError> =
            errors.iter().map(|error| file::placed(&document, error)).collect();
        placed.sort_by_key(|error| (error.line, error.column));
        placed
    }

    /// Binds the parameters of rules, and adds an error for each that its rule cannot read.
    fn compile(file: PolicyFile, source: &str, errors: &mut Vec<DecodeError>) -> Self {
        let written = serde_json::to_value(&file).unwrap_or_default();
        let mut default = |entry: &Entry| {
            let key = entry.meta.params_from?;
            let value = written.get(key).filter(|value| !value.is_null())?;
            (entry.compile)(value)
                .map_err(|error| {
                    let field = Pointer::from(format!("/{key}{}", error.field));
                    errors.push(DecodeError { field, message: error.message });
                })
                .ok()
        };
        let defaults =
            RULES.iter().map(|entry| default(entry).unwrap_or_else(entry.by_default)).collect();
        errors.extend(second_person_faults(&file));
        for (name, pack) in &file.packs {
            if let Some((field, message)) = packs::fault(pack) {
                let field =
                    Pointer::from(format!("{}{field}", Pointer::default().key("packs").key(name)));
                errors.push(DecodeError { field, message: message.to_owned() });
            }
        }
        let rules = scope::settings(&file.rules, &Pointer::default(), errors);
        let scopes = file.scopes.iter().enumerate().map(|(index, scope)| {
            CompiledScope::new(scope, &Pointer::default().key("scopes").index(index), errors)
        });
        let scopes = scopes.collect();
        Self {
            source: source.to_owned(),
            mode: file.mode,
            overrides: file.overrides.unwrap_or(true),
            // `mode: audit` denies nothing, whatever goes wrong.
            on_error: match file.mode {
                Mode::Enforce => file.on_error,
                Mode::Audit => OnError::Allow,
            },
            own_namespace_given: file.own_namespace.is_some(),
            own_namespace: file.own_namespace.unwrap_or_else(|| "stateward".to_owned()),
            allow: file.allow.unwrap_or_default(),
            operators: file.owners.unwrap_or_default().operators,
            packs: Packs::with(file.packs),
            help: file.help.map(Arc::new),
            resize: file.resize.mode,
            authorize: file.resize.authorize.unwrap_or_default(),
            anti_affinity: file.anti_affinity,
            pod_defaults: file.pod_defaults.clone(),
            size_on_create: file.size_on_create,
            claim_template_metadata: file.claim_template_metadata,
            defaults,
            rules,
            scopes,
        }
    }

    /// The mode of resizing where the file leaves it out: `serve --dev` orchestrates.
    #[must_use]
    pub fn with_default_resize(mut self, resize: Resize) -> Self {
        self.resize.get_or_insert(resize);
        self
    }

    /// The namespace of this very process, where the file leaves it out.
    #[must_use]
    pub fn with_own_namespace(mut self, namespace: &str) -> Self {
        if !self.own_namespace_given {
            namespace.clone_into(&mut self.own_namespace);
        }
        self
    }

    /// The rules that judge `change`, each with its effective action: the stricter of what the
    /// labels of the old and of the new object lead to. Where the two lead to different parameters,
    /// the rule comes twice, and whatever either finds has been found.
    pub fn rules<'p>(
        &'p self,
        change: &Change<'_>,
        in_cluster: bool,
    ) -> impl Iterator<Item = EffectiveRule<'p>> {
        let new_scopes = self.matching(change, change.objects.any().map(|o| &o.metadata.labels));
        let old_scopes = match change.operation {
            // Without label selectors, old and new fall into the same scopes.
            Operation::Update if self.scopes.iter().any(CompiledScope::reads_labels) => {
                Some(self.matching(change, change.objects.old.as_ref().map(|o| &o.metadata.labels)))
            }
            _ => None,
        };
        let (kind, operation) = (change.kind, change.operation);
        RULES
            .iter()
            .enumerate()
            .filter(move |(_, entry)| entry.meta.applies(kind, operation))
            .flat_map(move |(index, entry)| {
                let rule = |scopes, again| {
                    let (action, check, help) = self.setting(index, scopes, in_cluster);
                    EffectiveRule { entry, action, check, help, again }
                };
                let mut new = rule(new_scopes.as_slice(), false);
                let mut old = old_scopes.as_ref().map(|scopes| rule(scopes.as_slice(), true));
                if let Some(by_old) = &old
                    && std::ptr::eq(by_old.check, new.check)
                {
                    if by_old.action > new.action {
                        (new.action, new.help) = (by_old.action, by_old.help);
                    }
                    old = None;
                }
                std::iter::once(new).chain(old)
            })
    }

    /// What `check` does about a finding of rule `id` that it makes by itself, on a new object.
    pub fn action_of(&self, id: &str, change: &Change<'_>) -> Action {
        let Some(index) = RULES.iter().position(|entry| entry.meta.id == id) else {
            return Action::Off;
        };
        let labels = change.objects.any().map(|object| &object.metadata.labels);
        self.setting(index, &self.matching(change, labels), false).0
    }

    fn setting<'p>(
        &'p self,
        index: usize,
        scopes: &[&'p CompiledScope],
        in_cluster: bool,
    ) -> (Action, &'p Check, Option<&'p Help>) {
        let base = &self.rules[index];
        let mut action = base.action;
        let mut check = base.check.as_ref().unwrap_or(&self.defaults[index]);
        let mut help = base.help.as_deref().or(self.help.as_deref());
        // The last match wins.
        for scope in scopes {
            let setting = &scope.rules[index];
            action = setting.action.or(action);
            check = setting.check.as_ref().unwrap_or(check);
            help = setting.help.as_deref().or(help);
        }
        (action.unwrap_or_else(|| RULES[index].meta.default_action(in_cluster)), check, help)
    }

    fn matching(&self, change: &Change<'_>, labels: Option<&TextMap<'_>>) -> Vec<&CompiledScope> {
        self.scopes
            .iter()
            .filter(|scope| scope.matches(change.kind, &change.namespace, labels))
            .collect()
    }

    fn scoped<T>(
        &self,
        change: &Change<'_>,
        base: T,
        pick: impl Fn(&CompiledScope) -> Option<T>,
    ) -> T {
        self.matching(change, change.objects.any().map(|o| &o.metadata.labels))
            .into_iter()
            .rev()
            .find_map(pick)
            .unwrap_or(base)
    }

    /// Whether an edit that grows a claim template can become a request anywhere, with `default` as the mode
    /// if the file has none.
    pub fn accepts_growth(&self, default: Resize) -> bool {
        let scoped = self.scopes.iter().filter_map(|scope| scope.resize);
        std::iter::once(self.resize.unwrap_or(default))
            .chain(scoped)
            .any(|mode| mode == Resize::Orchestrate)
    }

    /// What becomes of an edit that grows a claim template of this object.
    pub fn resize(&self, change: &Change<'_>) -> Resize {
        self.scoped(change, self.resize.unwrap_or_default(), |scope| scope.resize)
    }

    /// Whether the number of nodes decides anywhere how a new set is spread.
    pub fn spreads_by_nodes(&self) -> bool {
        self.anywhere(self.anti_affinity, |scope| scope.anti_affinity, AntiAffinity::System)
    }

    /// Whether a setting has this value, for all objects or in some scope.
    fn anywhere<T: Copy + PartialEq>(
        &self,
        base: T,
        scoped: impl Fn(&CompiledScope) -> Option<T>,
        value: T,
    ) -> bool {
        base == value || self.scopes.iter().any(|scope| scoped(scope) == Some(value))
    }

    /// Whether the sizes of other claims raise any that is created.
    pub fn raises_sizes(&self) -> bool {
        self.anywhere(self.size_on_create, |scope| scope.size_on_create, SizeOnCreate::Claims)
    }

    /// Which anti-affinity this new set is given.
    pub fn anti_affinity(&self, change: &Change<'_>) -> AntiAffinity {
        self.scoped(change, self.anti_affinity, |scope| scope.anti_affinity)
    }

    /// Whether this new set is given that, too.
    pub fn gives(&self, change: &Change<'_>, setting: PodDefaultSetting) -> bool {
        let base = self.pod_defaults.contains(&setting);
        let scoped = |scope: &CompiledScope| Some(scope.pod_defaults.as_ref()?.contains(&setting));
        self.scoped(change, base, scoped)
    }

    /// The sizes of the claim templates of this new set.
    pub fn size_on_create(&self, change: &Change<'_>) -> SizeOnCreate {
        self.scoped(change, self.size_on_create, |scope| scope.size_on_create)
    }

    /// What becomes of an edit to the metadata of this set's claim templates.
    pub fn claim_template_metadata(&self, change: &Change<'_>) -> ClaimTemplateMetadata {
        self.scoped(change, self.claim_template_metadata, |scope| scope.claim_template_metadata)
    }
}

/// What keeps a second person from being asked for: nobody may confirm, or one person may sign in two names.
fn second_person_faults(file: &PolicyFile) -> Vec<DecodeError> {
    let Some(allow) = file.allow.as_ref().filter(|allow| allow.second_person) else {
        return Vec::new();
    };
    let fault = |field, message: &str| DecodeError { field, message: message.to_owned() };
    let own = || Pointer::from("/allow/second-person");
    let mut faults = Vec::new();
    if !allow.reserves() {
        faults.push(fault(own(), "it needs users or groups: nobody could confirm a deletion"));
    }
    if file.overrides == Some(false) {
        faults.push(fault(own(), "with overrides: false, nobody can confirm a deletion"));
    }
    let scopes = file.scopes.iter().enumerate();
    let scopes =
        scopes.map(|(index, scope)| (Pointer::default().key("scopes").index(index), &scope.rules));
    for (at, rules) in std::iter::once((Pointer::default(), &file.rules)).chain(scopes) {
        let Some(setting) = rules.0.get(reserved_annotation::ID) else { continue };
        let weaker = setting.action.is_some_and(|action| action != Action::Deny);
        if weaker || setting.params.is_some() {
            let field = at.key("rules").key(reserved_annotation::ID);
            let message = "allow.second-person needs this rule: leave it at deny, without params";
            faults.push(fault(field, message));
        }
    }
    faults
}
