use candle_core::{DType, Var};
use candle_nn::VarMap;
use opt_candle::Vars;

use crate::common::{CPU, builder, named, variables};

fn names(vars: &Vars) -> Vec<&str> {
    vars.params().segments().iter().map(|s| &*s.name).collect()
}

#[test]
fn a_map_is_sorted_and_has_prefixes() {
    let map = VarMap::new();
    let vb = builder(&map, DType::F32);
    for name in ["b", "a", "ab", "c"] {
        candle_nn::linear(3, 2, vb.pp(name)).unwrap();
    }
    let all = Vars::from_varmap(&map).unwrap();
    let expected = [
        "a.bias",
        "a.weight",
        "ab.bias",
        "ab.weight",
        "b.bias",
        "b.weight",
        "c.bias",
        "c.weight",
    ];
    assert_eq!(names(&all), expected);
    assert_eq!(all.params().segments()[1].shape, [2, 3]);
    // Not what only begins with the same letters.
    let part = Vars::from_builder(&map, &vb.pp("a")).unwrap();
    assert_eq!(names(&part), ["a.bias", "a.weight"]);
    let root = Vars::from_builder(&map, &vb).unwrap();
    assert_eq!(names(&root), names(&all));
    let weights = all.filter(|s| s.shape.len() == 2).unwrap();
    assert_eq!(
        names(&weights),
        ["a.weight", "ab.weight", "b.weight", "c.weight"]
    );
}

#[test]
fn a_tied_variable_is_one_segment_and_integers_are_none() {
    let map = VarMap::new();
    let tied = Var::zeros((2, 2), DType::F32, CPU).unwrap();
    let count = Var::zeros(2, DType::U32, CPU).unwrap();
    let mut data = map.data().lock().unwrap();
    for (name, var) in [("out", &tied), ("embedding", &tied), ("count", &count)] {
        data.insert(name.to_owned(), var.clone());
    }
    drop(data);
    let vars = Vars::from_varmap(&map).unwrap();
    assert_eq!(names(&vars), ["embedding"]);
}

#[test]
fn a_list_keeps_its_order() {
    let list = variables(&[&[2], &[], &[0, 3]], DType::F64);
    let vars = Vars::new(named(&list)).unwrap();
    assert_eq!(names(&vars), ["v0", "v1", "v2"]);
    assert_eq!((vars.params().len(), vars.vars().len()), (3, 3));
}
