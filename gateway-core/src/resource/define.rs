//! How document types are written down: each property, resource and choice once, with its name on the
//! wire. From that come the type, its schema, how it is read and how it is written.

/// Defines document types: each property once, with its name on the wire.
macro_rules! objects {
    ($(
        $(#[$doc:meta])*
        $name:ident $([read only: $($read_only:literal),*])? {
            $(
                $(#[$field_doc:meta])*
                $field:ident: $type:ty = $wire:tt,
            )*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(rename = $wire, skip_serializing_if = "crate::resource::read::Read::hidden")]
                pub $field: Option<$type>,
            )*
        }

        impl $name {
            /// The properties' names on the wire.
            pub(crate) const PROPERTIES: &'static [&'static str] = &[$($wire),*];
        }

        impl crate::resource::changes::Properties for $name {
            fn differing(&self, after: &Self) -> Vec<(&'static str, crate::resource::ChangeKind)> {
                let mut found = Vec::new();
                $(
                    let kind = crate::resource::changes::kind(&self.$field, &after.$field);
                    found.extend(kind.map(|kind| ($wire, kind)));
                )*
                found
            }
        }

        impl crate::resource::read::Read for $name {
            fn read(
                node: &crate::resource::tree::Node,
                at: &crate::resource::pointer::Pointer<'_>,
                problems: &mut crate::config::Collector<'_>,
            ) -> Option<Self> {
                let shape = crate::resource::read::Shape {
                    known: Self::PROPERTIES,
                    read_only: &[$($($read_only),*)?],
                    inner: &[],
                };
                let fields = crate::resource::read::Fields::of(node, &shape, at, problems)?;
                Some(Self {
                    $($field: fields.read($wire, at, problems),)*
                })
            }

            fn placeholder() -> Option<Self> {
                Some(Self::default())
            }
        }
    )*};
}

/// Defines resources: a name around `properties`.
macro_rules! resources {
    ($(
        $(#[$doc:meta])*
        $name:ident($properties:ty);
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub struct $name {
            /// Its name, unique in its collection without regard to case.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub name: Option<String>,
            /// What it is.
            pub properties: $properties,
        }

        impl crate::resource::read::Read for $name {
            fn read(
                node: &crate::resource::tree::Node,
                at: &crate::resource::pointer::Pointer<'_>,
                problems: &mut crate::config::Collector<'_>,
            ) -> Option<Self> {
                let shape = crate::resource::read::Shape {
                    known: &["name", "properties"],
                    read_only: &["id", "etag", "type"],
                    inner: <$properties>::PROPERTIES,
                };
                let fields = crate::resource::read::Fields::of(node, &shape, at, problems)?;
                Some(Self {
                    name: fields.read("name", at, problems),
                    properties: fields.read("properties", at, problems).unwrap_or_default(),
                })
            }

            fn placeholder() -> Option<Self> {
                Some(Self::default())
            }
        }

        impl crate::resource::Resource for $name {
            type Properties = $properties;

            fn name(&self) -> Option<&str> {
                self.name.as_deref()
            }

            fn properties(&self) -> &$properties {
                &self.properties
            }
        }
    )*};
}

/// Defines enums by the canonical spelling of their values.
macro_rules! choices {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $wire:tt,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $wire)] $variant,)*
        }

        impl crate::resource::read::Read for $name {
            fn read(
                node: &crate::resource::tree::Node,
                at: &crate::resource::pointer::Pointer<'_>,
                problems: &mut crate::config::Collector<'_>,
            ) -> Option<Self> {
                let choices = [$(($wire, Self::$variant)),*];
                crate::resource::read::read_choice(node, at, problems, &choices)
            }
        }
    )*};
}

pub(crate) use {choices, objects, resources};
