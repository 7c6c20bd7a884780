use super::any_rule::{AnyRule, Frozen, Typed};
use super::elementwise::Elementwise;
use super::rule::Rule;
use super::run::Group;
use super::storage::Storage;
use crate::error::Error;
use crate::params::{ParamMap, Segment};
use crate::scalar::Scalar;
use crate::tune::Tuned;

/// Rules of different types side by side, each over a group of segments.
///
/// ```
/// # use opt_core::{*, Hyper};
/// # #[derive(Clone, Debug)] struct Sgd { lr: f64 }
/// # impl Hyper for Sgd {
/// #     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
/// #         visit.real("lr", &mut self.lr, Bound::NonNegative);
/// #     }
/// # }
/// # impl<F: Scalar> Rule<F, 0> for Sgd {
/// #     fn slots(&self) -> [Slot; 0] { [] }
/// #     fn update(&self, _: &Step, x: &mut [F], g: &[F], s: [&mut [F]; 0]) -> bool {
/// #         let lr = F::of(self.lr);
/// #         each(x, g, s, move |x, g, []| (x - lr * g, []))
/// #     }
/// # }
/// let params = ParamMap::new([("embedding", vec![9, 2]), ("w", vec![2, 2]), ("b", vec![2])])?;
/// let mut update = Groups::builder()
///     .rule("weights", |s| s.shape.len() == 2 && s.name != "embedding", Sgd { lr: 0.1 })
///     .rule("biases", |s| s.shape.len() == 1, Sgd { lr: 0.2 })
///     .frozen("fixed", |s| s.name == "embedding")
///     .build(&params)?;
/// let mut x = [1.0_f32; 24];
/// update.apply(&mut x, &[1.0; 24])?;
/// assert_eq!((x[0], x[18], x[22]), (1.0, 0.9, 0.8));
/// update.scale("lr", 0.5)?; // of both, which keep their ratio
/// update.set("biases/lr", 0.3.into())?;
/// # Ok::<(), Error>(())
/// ```
pub type Groups<F> = Elementwise<F, dyn AnyRule<F>>;

impl<F: Scalar> Groups<F> {
    /// Starts with no group.
    pub fn builder<'a>() -> GroupsBuilder<'a, F> {
        GroupsBuilder { groups: Vec::new() }
    }
}

type Choose<'a> = Box<dyn Fn(&Segment) -> bool + 'a>;

struct Draft<'a, F: Scalar> {
    name: String,
    chooses: Choose<'a>,
    rule: Result<Box<dyn AnyRule<F>>, Error>,
}

/// Makes [`Groups`].
#[allow(missing_debug_implementations)] // closures
pub struct GroupsBuilder<'a, F: Scalar> {
    groups: Vec<Draft<'a, F>>,
}

impl<'a, F: Scalar> GroupsBuilder<'a, F> {
    /// A group of the segments that `chooses` says yes to, and their rule.
    #[must_use]
    pub fn rule<R: Rule<F, N>, const N: usize>(
        self,
        name: impl Into<String>,
        chooses: impl Fn(&Segment) -> bool + 'a,
        rule: R,
    ) -> Self {
        let rule = Tuned::new::<F>(rule).map(|rule| Box::new(Typed(rule)) as _);
        self.with(name.into(), Box::new(chooses), rule)
    }

    /// A group that does not move: neither x nor any state, at no cost; its gradients are not
    /// looked at.
    #[must_use]
    pub fn frozen(self, name: impl Into<String>, chooses: impl Fn(&Segment) -> bool + 'a) -> Self {
        self.with(name.into(), Box::new(chooses), Ok(Box::new(Frozen)))
    }

    fn with(
        mut self,
        name: String,
        chooses: Choose<'a>,
        rule: Result<Box<dyn AnyRule<F>>, Error>,
    ) -> Self {
        self.groups.push(Draft {
            name,
            chooses,
            rule,
        });
        self
    }

    /// The update, if every segment belongs to exactly one group.
    ///
    /// # Errors
    /// [`Error::Groups`] that names a segment in no group or in two, a group without a segment, or
    /// two groups of one name; what a rule's settings are refused for.
    pub fn build(self, params: &ParamMap) -> Result<Groups<F>, Error> {
        let mut owners = Vec::with_capacity(params.segments().len());
        for segment in params.segments() {
            let all = self.groups.iter().enumerate();
            let mut choosing = all.filter(|(_, group)| (group.chooses)(segment));
            owners.push(match (choosing.next(), choosing.next()) {
                (Some((index, _)), None) => index,
                (None, _) => {
                    let text = format!("segment `{}` is in no group", segment.name);
                    return Err(Error::Groups(text));
                }
                (Some((_, a)), Some((_, b))) => {
                    let text = format!(
                        "segment `{}` is in two groups, `{}` and `{}`",
                        segment.name, a.name, b.name
                    );
                    return Err(Error::Groups(text));
                }
            });
        }
        let mut groups: Vec<Group<dyn AnyRule<F>>> = Vec::with_capacity(self.groups.len());
        for (index, Draft { name, rule, .. }) in self.groups.into_iter().enumerate() {
            if name.is_empty() || name.contains('/') || groups.iter().any(|g| g.name == name) {
                let text = format!(
                    "group `{name}`: names must differ, and be neither empty nor have a `/`"
                );
                return Err(Error::Groups(text));
            }
            if !owners.contains(&index) {
                let text = format!("group `{name}` chooses no segment: look at its predicate");
                return Err(Error::Groups(text));
            }
            let rule = rule.map_err(|error| error.within(&name))?;
            groups.push(Group { name, rule });
        }
        Elementwise::build(params, groups, |segment| owners[segment], |_| Storage::Full)
    }
}
