//! What is done with a sparse data set as a whole, against dense matrices.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::sync::Arc;

use ndarray::{Array2, Axis, array};
use opt_data::{Csr, Dataset, Error, SparseDataset, digits};
use proptest::prelude::*;

fn sparse(dense: &Array2<f32>, labels: Vec<u8>) -> SparseDataset {
    let (mut starts, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in dense.rows() {
        for (column, value) in (0..).zip(row).filter(|(_, value)| **value != 0.0) {
            indices.push(column);
            values.push(*value);
        }
        starts.push(indices.len());
    }
    let matrix = Csr::try_new(dense.dim(), starts, indices, values).unwrap();
    SparseDataset::new(matrix, labels, "made").unwrap()
}

#[test]
fn selects_and_splits_as_the_dense_set() {
    let dense = digits().unwrap();
    let data = sparse(&dense.inputs.to_owned(), dense.labels.clone());
    let same = |sparse: &SparseDataset, dense: &Dataset| {
        assert_eq!(sparse.inputs.to_dense(), dense.inputs);
        assert_eq!(sparse.labels, dense.labels);
        assert_eq!(sparse.classes, dense.classes);
    };
    same(&data, &dense);
    let rows = [1_796, 0, 5, 5];
    same(&data.select(&rows).unwrap(), &dense.select(&rows).unwrap());
    for seed in 0..3 {
        let (found, expected) = (
            data.split(297, seed).unwrap(),
            dense.split(297, seed).unwrap(),
        );
        same(&found.0, &expected.0);
        same(&found.1, &expected.1);
    }
    let mut out = Array2::from_elem((4, 64), 7.0);
    data.gather(&rows, out.view_mut()).unwrap();
    assert_eq!(out, dense.inputs.select(Axis(0), &rows));
}

#[test]
fn the_most_frequent_columns_of_one_set_are_picked_in_another() {
    let data = sparse(
        &array![
            [0.0, 2.0, 1.0, 0.0, 5.0],
            [3.0, 0.0, 1.0, 0.0, 0.0],
            [0.0, 1.0, 1.0, 0.0, 0.0]
        ],
        vec![0, 1, 1],
    );
    // Totals 3, 3, 3, 0, 5.
    assert_eq!(data.frequent(3).unwrap(), [4, 0, 1]);
    assert_eq!(data.frequent(99).unwrap(), [4, 0, 1, 2]);
    assert!(data.frequent(0).unwrap().is_empty());
    let other = sparse(
        &array![[1.0, 2.0, 3.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0, 9.0]],
        vec![0, 1],
    );
    let picked = other.columns(&[4, 0, 1]).unwrap();
    assert_eq!(
        picked.inputs.to_dense(),
        array![[0.0, 1.0, 2.0], [9.0, 0.0, 0.0]]
    );
    assert_eq!(picked.labels, [0, 1]);
    for columns in [&[0, 5][..], &[2, 2], &[u32::MAX]] {
        let error = other.columns(columns).unwrap_err();
        let last = columns.last().unwrap();
        let expected = format!("columns to pick: expected each once, below 5, found {last}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let data = sparse(&array![[1.0, 0.0], [0.0, 2.0]], vec![0, 1]);
    assert!(matches!(
        data.select(&[0, 2]),
        Err(Error::Row { row: 2, rows: 2 })
    ));
    assert!(matches!(data.split(2, 0), Err(Error::Split { .. })));
    let mut out = Array2::from_elem((1, 3), 7.0);
    assert!(matches!(
        data.gather(&[0], out.view_mut()),
        Err(Error::Shape { .. })
    ));
    let mut out = Array2::from_elem((1, 2), 7.0);
    assert!(matches!(
        data.gather(&[0, 1], out.view_mut()),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        data.gather(&[2], out.view_mut()),
        Err(Error::Row { .. })
    ));
    assert_eq!(out, array![[7.0, 7.0]]);

    let matrix = |values| Csr::try_new((2, 2), vec![0, 1, 2], vec![0, 1], values).unwrap();
    let made = |matrix, labels| SparseDataset::new(matrix, labels, "made");
    for value in [f32::NAN, f32::INFINITY] {
        let error = made(matrix(vec![1.0, value]), vec![0, 1]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::NonFinite {
                    sample: 1,
                    feature: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(matches!(
        made(matrix(vec![1.0; 2]), vec![0, 1, 1]),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        made(matrix(vec![1.0; 2]), vec![1, 1]),
        Err(Error::OneClass { .. })
    ));
    assert!(matches!(
        made(matrix(vec![1.0; 2]), vec![]),
        Err(Error::Empty { .. })
    ));
    // By columns, of which there are as many as rows.
    let turned = matrix(vec![1.0; 2]).into_csc();
    let mut data = data;
    data.inputs = Arc::new(turned);
    for error in [
        data.select(&[0]).unwrap_err(),
        data.split(1, 0).unwrap_err(),
        data.columns(&[0]).unwrap_err(),
        data.frequent(1).unwrap_err(),
        data.gather(&[0], out.view_mut()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("compressed rows"), "{error}");
    }
}

proptest! {
    #[test]
    fn columns_are_those_of_the_dense_matrix(
        values in prop::collection::vec(0_u8..3, 24),
        order in Just((0..6).collect::<Vec<u32>>()).prop_shuffle(),
        count in 0_usize..7,
    ) {
        let dense = Array2::from_shape_fn((4, 6), |(i, j)| f32::from(values[6 * i + j]));
        let data = sparse(&dense, vec![0, 1, 0, 1]);
        let picked = data.columns(&order[..count]).unwrap();
        let places: Vec<_> = order[..count].iter().map(|i| *i as usize).collect();
        prop_assert_eq!(picked.inputs.to_dense(), dense.select(Axis(1), &places));
        let totals = dense.sum_axis(Axis(0));
        let mut expected: Vec<_> = (0..6_u32).filter(|i| totals[*i as usize] > 0.0).collect();
        expected.sort_by(|i, j| totals[*j as usize].total_cmp(&totals[*i as usize]));
        expected.truncate(count);
        prop_assert_eq!(data.frequent(count).unwrap(), expected);
    }
}
