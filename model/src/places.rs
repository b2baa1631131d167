//! A function for each property's place in the table: stateright's properties are function pointers, which know
//! nothing but what their type says.

use crate::properties;

/// An array of a function with a const parameter, one for each place that a set of properties has.
macro_rules! at_every_place {
    ($of:ident) => {
        $crate::places::at_every_place! { $of:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
            16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47
            48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
        }
    };
    ($of:ident: $($at:literal)*) => { [$($of::<$at>),*] };
}

pub(crate) use at_every_place;

/// How many places a set of properties has.
pub(crate) const PLACES: usize = properties::Mask::BITS as usize;

const _: () = assert!(properties::ALL.len() <= PLACES, "a state has a bit for each property");
