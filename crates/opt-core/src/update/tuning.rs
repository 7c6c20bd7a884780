//! Hyper-parameters of groups, by name.

use super::any_rule::AnyRule;
use super::elementwise::Elementwise;
use super::run::Group;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::tune::{Bound, Change, Field, Kind, Tune, bare, unknown};

impl<F: Scalar, K: AnyRule<F> + ?Sized> Tune for Elementwise<F, K> {
    fn list(&self) -> Vec<Field> {
        let fields = self.groups.iter().flat_map(|group| {
            let fields = group.rule.list().into_iter();
            fields.map(|field| Field {
                name: group.qualified(&field.name),
                ..field
            })
        });
        fields.collect()
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        let field = bare(name);
        let named: Vec<usize> = (0..self.groups.len())
            .filter(|&index| {
                let group = &self.groups[index];
                let fits = name == field || name == group.qualified(field);
                fits && !matches!(
                    group.rule.may(field, change),
                    Err(Error::UnknownHyper { .. })
                )
            })
            .collect();
        let Some(&first) = named.first() else {
            return Err(unknown(name, &self.list()));
        };
        let change = &self.keep_ratios(&named, first, field, change)?;
        for &index in &named {
            let group = &self.groups[index];
            (group.rule.may(field, change)).map_err(|error| error.within(&group.name))?;
        }
        (named.iter()).try_for_each(|&index| self.groups[index].rule.change(field, change))
    }
}

impl<F: Scalar, K: AnyRule<F> + ?Sized> Elementwise<F, K> {
    /// The change that stands for `change` where several groups have a rate of their own.
    fn keep_ratios(
        &self,
        named: &[usize],
        first: usize,
        field: &str,
        change: &Change,
    ) -> Result<Change, Error> {
        let Change::Set(value) = change else {
            return Ok(change.clone());
        };
        let configured = |index: usize| self.groups[index].rule.configured(field);
        let differ = named
            .iter()
            .any(|&index| configured(index) != configured(first));
        let rate = self.groups[first].rule.list().into_iter().any(|f| {
            f.name == field && matches!(f.kind, Kind::Real(Bound::NonNegative | Bound::Positive))
        });
        let (Some(value), Some(rest)) =
            (value.real().filter(|_| differ && rate), configured(first))
        else {
            return Ok(change.clone());
        };
        if rest == 0.0 {
            return Err(Error::HyperConflict(format!(
                "{field} is 0 in the first group, {}: no factor makes it {value}; set it by group",
                self.groups[first].name
            )));
        }
        Ok(Change::Scale(value / rest))
    }
}

impl<K: ?Sized> Group<K> {
    fn qualified(&self, field: &str) -> String {
        if self.name.is_empty() {
            field.to_owned()
        } else {
            format!("{}/{field}", self.name)
        }
    }
}
