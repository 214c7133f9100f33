//! The nouns as schemas, made from the structs that read them.

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::inventory::column::{Child, Column, Kind, Shape};
use crate::domain::inventory::{
    CertificateAutomationBody, CertificateBindingBody, CertificateBody, CertificateIssuerBody,
    CredentialBody, CredentialPolicyBody, DeviceBody, Noun, NounSpec, OperationTemplateBody,
    SecretSpec, SiteBody, TaskDefinitionBody, UserBody, UserGroupBody,
};
use crate::domain::secret::{PASSPHRASE_BYTES_MAX, SECRET_BYTES_MAX};

/// A schema with its name.
pub(super) type Named = (String, RefOr<Schema>);

/// How a noun is written in schemas' names: `CredentialPolicy`.
pub(super) fn type_name(spec: &NounSpec) -> String {
    let words = spec.word.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}

/// The schemas of a noun (`Site` as it is shown, `NewSite` and `SitePatch`), and those they refer to.
pub(super) fn schemas(noun: Noun) -> Vec<Named> {
    let spec = noun.spec();
    let (body, mut all) = body(noun);
    let name = type_name(spec);
    all.push((format!("New{name}"), creation(spec, body.clone())));
    all.push((format!("{name}Patch"), patch(spec, body.clone())));
    let shown = shown(spec, body, &all);
    all.push((name, shown));
    all
}

/// What callers set, and what it refers to.
fn body(noun: Noun) -> (Object, Vec<Named>) {
    match noun {
        Noun::Site => of::<SiteBody>(),
        Noun::Device => of::<DeviceBody>(),
        Noun::Credential => of::<CredentialBody>(),
        Noun::CredentialPolicy => of::<CredentialPolicyBody>(),
        Noun::User => of::<UserBody>(),
        Noun::UserGroup => of::<UserGroupBody>(),
        Noun::Certificate => of::<CertificateBody>(),
        Noun::OperationTemplate => of::<OperationTemplateBody>(),
        Noun::CertificateIssuer => of::<CertificateIssuerBody>(),
        Noun::CertificateAutomation => of::<CertificateAutomationBody>(),
        Noun::CertificateBinding => of::<CertificateBindingBody>(),
        Noun::TaskDefinition => of::<TaskDefinitionBody>(),
    }
}

fn of<T: ToSchema>() -> (Object, Vec<Named>) {
    let mut named = Vec::new();
    T::schemas(&mut named);
    match <T as PartialSchema>::schema() {
        RefOr::T(Schema::Object(object)) => (object, named),
        _ => (Object::new(), named),
    }
}

/// The fields that go to the vault.
fn secrets(spec: &SecretSpec) -> [(String, RefOr<Schema>); 2] {
    let secret = written_only(
        SECRET_BYTES_MAX,
        "Goes to the vault and is not shown again but by `view`.",
    );
    let passphrase = written_only(
        PASSPHRASE_BYTES_MAX,
        "What opens the secret, where it is a private key that is encrypted; comes with it, and goes to the vault too.",
    );
    [
        (spec.field.to_owned(), secret.into()),
        (spec.passphrase.to_owned(), nullable(passphrase.into())),
    ]
}

fn written_only(bytes_max: usize, about: &str) -> ObjectBuilder {
    string(None)
        .min_length(Some(1))
        .max_length(Some(bytes_max))
        .write_only(true)
        .description(Some(about))
}

fn creation(spec: &NounSpec, mut body: Object) -> RefOr<Schema> {
    if let Some(spec) = &spec.secret {
        body.properties.extend(secrets(spec));
        body.required.push(spec.field.to_owned());
    }
    RefOr::T(Schema::Object(body))
}

/// Everything may be left out; null brings back what a field is when it is left out at the start.
fn patch(spec: &NounSpec, mut body: Object) -> RefOr<Schema> {
    let required = std::mem::take(&mut body.required);
    for (field, schema) in &mut body.properties {
        let column = spec.columns.iter().find(|column| column.field == field);
        if column.is_some_and(|column| column.kind == Kind::Object) {
            // Its members merge, so that each may be left out, or null.
            *schema = ObjectBuilder::new().schema_type(Type::Object).into();
        }
        if !required.contains(field) {
            let plain = std::mem::replace(schema, RefOr::T(Schema::default()));
            *schema = nullable(plain);
        }
    }
    if let Some(spec) = &spec.secret {
        body.properties.extend(secrets(spec));
    }
    RefOr::T(Schema::Object(body))
}

fn nullable(schema: RefOr<Schema>) -> RefOr<Schema> {
    let widened = |kind: &mut SchemaType| match kind {
        SchemaType::Type(one) => *kind = SchemaType::Array(Vec::from([one.clone(), Type::Null])),
        SchemaType::Array(_) | SchemaType::AnyValue => {}
    };
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            widened(&mut object.schema_type);
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(mut array)) => {
            widened(&mut array.schema_type);
            RefOr::T(Schema::Array(array))
        }
        RefOr::Ref(reference) => OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .item(reference)
            .into(),
        // Made of alternatives, of which null is one: that is how an optional reference is described.
        other => other,
    }
}

/// A thing as it is shown: nothing is left out.
fn shown(spec: &NounSpec, mut body: Object, named: &[Named]) -> RefOr<Schema> {
    for child in spec.children.iter().filter(|child| !child.state.is_empty()) {
        let list = ArrayBuilder::new().items(entry(child, named));
        body.properties.insert(child.field.to_owned(), list.into());
    }
    for column in spec.state {
        body.properties
            .insert(column.field.to_owned(), state(column));
    }
    let own = [
        ("id", string(None), "Its id, stable for ever."),
        ("revision", integer(), "Counts changes; the `ETag`."),
        ("created_at", instant(), "When it was made."),
        ("updated_at", instant(), "When a caller last changed it."),
    ];
    for (field, schema, about) in own {
        let schema = schema.description(Some(about));
        body.properties.insert(field.to_owned(), schema.into());
    }
    body.required = body.properties.keys().cloned().collect();
    if spec.noun == Noun::TaskDefinition {
        let about = "Only where something does not fit, though it was kept: what.";
        let warning = string(None).description(Some(about));
        body.properties.insert("warning".to_owned(), warning.into());
    }
    RefOr::T(Schema::Object(body))
}

/// An entry of a list with what robots set in it.
fn entry(child: &Child, named: &[Named]) -> RefOr<Schema> {
    let known = |column: &Column| {
        named.iter().find_map(|(_, schema)| match schema {
            RefOr::T(Schema::Object(object)) if object.properties.contains_key(column.field) => {
                Some(object.clone())
            }
            _ => None,
        })
    };
    let object = match child.shape {
        Shape::Object => child.columns.first().and_then(known),
        Shape::Value => None,
    };
    let mut object = object.unwrap_or_default();
    for column in child.state {
        object
            .properties
            .insert(column.field.to_owned(), state(column));
    }
    object.required = object.properties.keys().cloned().collect();
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    RefOr::T(Schema::Object(object))
}

fn string(format: Option<SchemaFormat>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(format)
}

fn instant() -> ObjectBuilder {
    string(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
}

/// What robots or the fields themselves set; null until then.
fn state(column: &Column) -> RefOr<Schema> {
    let schema: RefOr<Schema> = match column.kind {
        Kind::Text | Kind::Duration | Kind::Ref(_) => string(None).into(),
        Kind::Time => instant().into(),
        Kind::Int => integer().into(),
        Kind::Bool => ObjectBuilder::new().schema_type(Type::Boolean).into(),
        Kind::Object => ObjectBuilder::new().into(),
        Kind::List => ArrayBuilder::new().items(string(None)).into(),
    };
    nullable(schema)
}

/// A reference to a schema by its name.
pub(super) fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}
