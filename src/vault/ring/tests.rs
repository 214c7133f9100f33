use proptest::prelude::*;

use super::*;

fn place(row: i64) -> Place {
    Place {
        table: "secret_versions",
        row: Vec::from([row, 1]),
        column: "sealed",
    }
}

fn wrapping(byte: u8) -> Wrapping {
    Wrapping(SecretBox::new(Box::new([byte; KEY_BYTES])))
}

fn ring(keys: i64) -> KeyRing {
    let wrapping = wrapping(7);
    let wrapped: Vec<_> = (1..=keys)
        .map(|id| (KeyId(id), wrapping.make(KeyId(id)).unwrap()))
        .collect();
    let wrapped = wrapped.iter().map(|(id, bytes)| (*id, bytes.as_slice()));
    wrapping.ring(wrapped).unwrap()
}

#[test]
fn the_cipher_is_that_of_the_draft() {
    // draft-irtf-cfrg-xchacha-03, A.3.1.
    let key: [u8; 32] = std::array::from_fn(|i| 0x80 + u8::try_from(i).unwrap());
    let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap());
    let aad = [
        0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
    ];
    let msg: &[u8] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let sealed = cipher(&key)
        .encrypt(&XNonce::from(nonce), Payload { msg, aad: &aad })
        .unwrap();
    let (text, tag) = sealed.split_at(sealed.len() - 16);
    assert_eq!(text.first_chunk::<4>().unwrap(), &[0xbd, 0x6d, 0x17, 0x9d]);
    assert_eq!(
        tag,
        [
            0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a,
            0xcf, 0x49
        ]
    );
}

#[test]
fn a_seal_opens_at_its_place_only() {
    let ring = ring(2);
    let secret = SecretString::from("correct horse");
    let sealed = ring.seal(&place(1), &secret).unwrap();
    assert_eq!(sealed.key, KeyId(2));
    assert_eq!(
        ring.open(&place(1), &sealed).unwrap().expose_secret(),
        "correct horse"
    );
    for other in [
        place(2),
        Place {
            table: "others",
            ..place(1)
        },
        Place {
            column: "others",
            ..place(1)
        },
    ] {
        assert_eq!(ring.open(&other, &sealed).unwrap_err(), SealError::Broken);
    }
    let under = |key| Sealed {
        key: KeyId(key),
        ..sealed.clone()
    };
    assert_eq!(
        ring.open(&place(1), &under(1)).unwrap_err(),
        SealError::Broken
    );
    assert_eq!(
        ring.open(&place(1), &under(9)).unwrap_err(),
        SealError::UnknownKey(KeyId(9))
    );
}

#[test]
fn data_keys_open_under_their_master_key_and_id_only() {
    let bytes = wrapping(7).make(KeyId(1)).unwrap();
    assert!(wrapping(7).ring([(KeyId(1), bytes.as_slice())]).is_ok());
    for (byte, id) in [(8, 1), (7, 2)] {
        let error = wrapping(byte).ring([(KeyId(id), bytes.as_slice())]);
        assert_eq!(error.unwrap_err(), SealError::Broken, "{byte} {id}");
    }
    assert_eq!(
        ring(0)
            .seal(&place(1), &SecretString::from("x"))
            .unwrap_err(),
        SealError::NoKey
    );
}

#[test]
fn a_data_key_that_is_wrapped_anew_opens_what_it_sealed_under_the_new_master_key_only() {
    let (old, new) = (wrapping(7), wrapping(8));
    let bytes = old.make(KeyId(1)).unwrap();
    let ring_of = |wrapping: &Wrapping, bytes: &[u8]| wrapping.ring([(KeyId(1), bytes)]);
    let secret = SecretString::from("correct horse");
    let before = ring_of(&old, &bytes).unwrap();
    let sealed = before.seal(&place(1), &secret).unwrap();
    let anew = old.rewrap(KeyId(1), &bytes, &new).unwrap();
    let after = ring_of(&new, &anew).unwrap();
    let opened = after.open(&place(1), &sealed).unwrap();
    assert_eq!(opened.expose_secret(), "correct horse");
    assert_eq!(ring_of(&old, &anew).unwrap_err(), SealError::Broken);
    let wrong = new.rewrap(KeyId(1), &bytes, &old);
    assert_eq!(wrong.unwrap_err(), SealError::Broken);
}

#[test]
fn a_fingerprint_outlives_rotations_and_needs_the_key() {
    let mut one = ring(1);
    let first = one.fingerprint(b"a").unwrap();
    assert_ne!(one.fingerprint(b"b").unwrap(), first);
    let mut rotated = ring(2);
    assert_ne!(rotated.fingerprint(b"a").unwrap(), first, "another key");
    rotated.0.extend(one.0.remove_entry(&KeyId(1)));
    assert_eq!(rotated.fingerprint(b"a").unwrap(), first);
}

#[test]
fn keys_are_never_shown() {
    assert_eq!(format!("{:?}", ring(2)), "KeyRing([1, 2])");
    assert_eq!(format!("{:?}", wrapping(7)), "Wrapping(..)");
}

proptest! {
    #[test]
    fn no_changed_byte_is_let_through(text in ".{0,40}", at: prop::sample::Index, bit in 0..8_u32) {
        let ring = ring(1);
        let sealed = ring.seal(&place(1), &SecretString::from(text.as_str())).unwrap();
        let opened = ring.open(&place(1), &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), text.as_str());
        let mut bytes = sealed.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = Sealed { bytes, ..sealed.clone() };
        prop_assert_eq!(ring.open(&place(1), &changed).unwrap_err(), SealError::Broken);
        let cut = Sealed { bytes: sealed.bytes[..at].to_vec(), ..sealed };
        prop_assert_eq!(ring.open(&place(1), &cut).unwrap_err(), SealError::Broken);
    }
}
