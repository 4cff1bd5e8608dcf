//! The kinds of types that random expressions are of.

/// The kinds, their columns, constants, and forms.
pub struct Kind {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    /// Values of rows; as constants they are cast.
    pub values: &'static [&'static str],
    pub cast: &'static str,
    pub forms: &'static [&'static str],
}

#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind {
        name: "S",
        columns: &["s1", "s2"],
        values: &["0", "1", "-1", "7", "-7", "100", "32767", "-32768", "12345"],
        cast: "int2",
        forms: &[
            "{S} + {S}", "{S} - {S}", "{S} * {S}", "{S} / {S}", "{S} % {S}", "- {S}", "abs({S})", "mod({S}, {S})",
            "{I}::int2", "{N}::int2", "{D}::smallint", "cast({L} as int2)", "case when {B} then {S} else {S} end",
            "coalesce({S}, {S})", "greatest({S}, {S})", "nullif({S}, {S})", "+ {S}", "{T}::int2",
        ],
    },
    Kind {
        name: "I",
        columns: &["i1", "i2", "id"],
        values: &["0", "1", "-1", "2", "3", "-10", "46341", "2147483647", "-2147483648", "1000000"],
        cast: "int4",
        forms: &[
            "{I} + {I}", "{I} - {S}", "{S} * {I}", "{I} * {I}", "{I} / {I}", "{I} / {S}", "{I} % {I}", "{S} % {I}",
            "- {I}", "abs({I})", "length({T})", "char_length({V})", "length({C})", "octet_length({T})",
            "octet_length({C})", "octet_length({X})", "length({X})", "strpos({T}, {T})", "position({T} in {T})",
            "{L}::int4", "{N}::integer", "{F}::int", "{D}::int4", "{B}::int", "{T}::int", "{Y} - {Y}",
            "case when {B} then {I} when {B} then {S} else {I} end", "case {I} when {I} then {S} end",
            "coalesce({S}, {I})", "coalesce({I}, {I}, {I})", "greatest({I}, {S}, {I})", "least({I}, {I})",
            "nullif({I}, {S})", "cardinality({A})", "({K} ->> 'a')::int", "({J} ->> 1)::int4", "mod({I}, {I})",
        ],
    },
    Kind {
        name: "L",
        columns: &["l1", "l2"],
        values: &[
            "0", "1", "-1", "5", "4294967296", "3037000500", "9223372036854775807", "-9223372036854775808",
            "-123456789012",
        ],
        cast: "int8",
        forms: &[
            "{L} + {L}", "{L} - {I}", "{I} * {L}", "{S} + {L}", "{L} / {L}", "{L} / {S}", "{L} % {L}", "{I} % {L}",
            "- {L}", "abs({L})", "{I}::int8", "{N}::bigint", "{D}::bigint", "{T}::int8",
            "case when {B} then {L} else {I} end", "coalesce({I}, {L})", "greatest({L}, {I})",
            "least({S}, {L}, {I})", "nullif({L}, {I})", "cast({S} as bigint) * {I}",
        ],
    },
    Kind {
        name: "N",
        columns: &["n1", "n2"],
        values: &[
            "0", "1", "-1", "0.00", "1.10", "-2.5", "2.5", "3.50", "999999.999", "-0.001", "123456.789", "0.005",
            "-99999.5", "10", "3", "7.125", "100000", "-0.500",
        ],
        cast: "numeric",
        forms: &[
            "{N} + {N}", "{N} - {N}", "{N} * {N}", "{N} / {N}", "{N} % {N}", "{N} + {I}", "{L} * {N}", "{N} / {I}",
            "{S} / {N}", "- {N}", "abs({N})", "round({N})", "round({N}, {R})", "trunc({N})", "trunc({N}, {R})",
            "ceil({N})", "ceiling({N})", "floor({N})", "sign({N})", "mod({N}, {N})", "div({N}, {N})", "{I}::numeric",
            "{L}::numeric(20,2)", "{N}::numeric(8,2)", "{N}::numeric(4,0)", "{N}::numeric(10,-2)", "{F}::numeric",
            "{D}::numeric", "{T}::numeric", "{T}::numeric(6,1)", "case when {B} then {N} else {I} end",
            "coalesce({N}, {N})", "coalesce({I}, {N})", "greatest({N}, {N})", "least({N}, {L})", "nullif({N}, {N})",
            "nullif({I}, {N})", "extract({E} from {M})", "extract({G} from {Y})", "extract(epoch from {Z})",
            "({K} ->> 'n')::numeric", "{N} * 1.50", "{N} / 3", "{N} / 7.00",
        ],
    },
    Kind {
        name: "F",
        columns: &["f1", "f2"],
        values: &[
            "0", "1.5", "-2.5", "0.1", "1e10", "3.4e38", "1e-40", "-0", "NaN", "Infinity", "16777217", "123456.7",
            "2.5",
        ],
        cast: "float4",
        forms: &[
            "{F} + {F}", "{F} - {F}", "{F} * {F}", "{F} / {F}", "- {F}", "abs({F})", "{D}::real", "{N}::float4",
            "{I}::float4", "{L}::real", "{T}::float4", "coalesce({F}, {I})", "case when {B} then {F} else {N} end",
            "greatest({F}, {F})", "least({F}, {I})", "nullif({F}, {F})", "nullif({F}, {D})", "nullif({F}, {N})",
        ],
    },
    Kind {
        name: "D",
        columns: &["d1", "d2"],
        values: &[
            "0", "1.5", "-2.5", "0.1", "1e300", "1.7976931348623157e308", "5e-324", "-0", "NaN", "-Infinity",
            "9007199254740993", "0.5", "3.7",
        ],
        cast: "float8",
        forms: &[
            "{D} + {D}", "{D} - {F}", "{D} * {D}", "{N} * {D}", "{I} + {D}", "{D} / {D}", "{F} / {D}", "- {D}",
            "abs({D})", "round({D})", "trunc({D})", "ceil({D})", "floor({D})", "sign({D})", "round({I})",
            "ceil({F})", "{F}::float8", "{N}::float8", "{L}::double precision", "{T}::float8", "coalesce({D}, {F})",
            "case when {B} then {N} else {D} end", "greatest({D}, {N})", "least({D}, {D})", "nullif({D}, {F})",
        ],
    },
    Kind {
        name: "T",
        columns: &["t1", "t2"],
        values: &[
            "''", "'a'", "'abc'", "' a b '", "'äöü'", "'日本語'", "'a,b,c'", "'%'", "'_b%'", "'a\\b'", "'12'", "' -7 '",
            "'1.50'", "'true'", "'x\u{301}'", "'2024-02-29'", "'aaa'", "'1e3'", "'😀z'", "'ABC'",
        ],
        cast: "text",
        forms: &[
            "{T} || {T}", "{T} || {I}", "{N} || {T}", "{V} || {C}", "{B} || {T}", "{Y} || {T}",
            "substring({T}, {P}, {P})", "substring({T} from {P})", "substring({T} from {P} for {P})",
            "substr({T}, {P})", "left({T}, {P})", "right({T}, {P})", "lpad({T}, {P}, {T})", "rpad({T}, {P}, {T})",
            "lpad({T}, {P})", "rpad({V}, {P})", "ltrim({T})", "rtrim({T}, {T})", "btrim({T}, {T})", "trim({T})",
            "trim(leading {T} from {T})", "trim(both from {T})", "trim(trailing 'a' from {T})",
            "replace({T}, {T}, {T})", "split_part({T}, {T}, {P})", "split_part({T}, ',', {P})",
            "concat({T}, {I}, {B}, {N})", "concat_ws({T}, {T}, {V}, {C})", "repeat({T}, {P})", "reverse({T})",
            "upper({T} collate \"C\")", "lower({T} collate \"C\")", "upper(t2)", "{I}::text", "{N}::text",
            "{F}::text", "{D}::text", "{B}::text", "{Y}::text", "{M}::text", "{U}::text", "{X}::text", "{J}::text",
            "{K}::text", "{C}::text", "{V}::text", "{J} ->> 'a'", "{J} ->> {P}", "{K} ->> 'b'", "{K} ->> {T}",
            "{K} -> 'b' ->> 'c'", "{K} ->> {P}", "{A}[{P}]", "case when {B} then {T} else {V} end",
            "coalesce({T}, {V})", "coalesce({C}, {T})", "nullif({T}, {T})", "nullif({V}, 'a')", "nullif({C}, {T})", "nullif({C}, {V})", "nullif({T}, {C})", "greatest({T}, t2)",
            "least({T} collate \"C\", {T})", "case {T} when 'a' then {T} when {T} then 'q' end",
        ],
    },
    Kind {
        name: "V",
        columns: &["v1"],
        values: &["''", "'a'", "'abc'", "'ä b'", "'a '", "'12'", "'a,b'", "'5'"],
        cast: "varchar",
        forms: &[
            "{T}::varchar(3)", "{I}::varchar", "{C}::varchar", "{V}", "coalesce({V}, {V})", "nullif({V}, {V})",
            "{N}::varchar(4)",
        ],
    },
    Kind {
        name: "C",
        columns: &["c1", "c2"],
        values: &["''", "'a'", "'ab'", "'ä'", "' a'", "'12'"],
        cast: "char(4)",
        forms: &[
            "{T}::char(2)", "{V}::char(6)", "{C}::char(7)", "coalesce({C}, {C})", "{I}::char(12)",
        ],
    },
    Kind {
        name: "B",
        columns: &["b1", "b2"],
        values: &["true", "false"],
        cast: "bool",
        forms: &[
            "{B} and {B}", "{B} or {B}", "not {B}", "{B} and {B} or {B}", "{I} = {I}", "{I} <> {S}", "{L} < {I}",
            "{N} <= {N}", "{N} > {I}", "{D} >= {N}", "{F} = {D}", "{F} < {F}", "{D} = {D}", "{T} = {T}",
            "{T} <> {V}", "{C} = {C}", "{C} = {V}", "{C} = {T}", "{C} = 'a '", "{T} < {T} collate \"C\"",
            "t2 >= {T}", "{B} = {B}", "{B} > {B}", "{Y} = {Y}", "{Y} < {M}", "{M} >= {M}", "{Z} < {Z}", "{U} = {U}",
            "{U} < {U}", "{X} = {X}", "{X} < {X}", "{I} is null", "{T} is not null", "{B} is true",
            "{B} is not false", "{B} is unknown", "{I} is distinct from {I}", "{T} is not distinct from {T}",
            "{I} in ({I}, {S}, 3)", "{T} in ('a', {T})", "{I} not in ({I}, {I})", "{F} in (0.1, {F}, 2.5)", "{D} in ({F}, 1, 0.5)", "{N} in (1, {I}, 2.50)", "{C} in ('a', 'ab')", "{Y} in ('2024-02-29', {Y})", "{S} in (1, 100000)", "{F} not in (1, 2.5, {N})", "{I} between {I} and {I}",
            "{N} not between {I} and {N}", "{T} between ({T} collate \"C\") and {T}", "{T} like {T}",
            "{T} like '%a%'", "{T} not like 'a_%'", "{V} like {T} escape ''", "{T} like '%!%%' escape '!'",
            "{C} like '%a '", "starts_with({T}, {T})", "{T} ^@ {V}", "{I}::bool", "{T}::bool",
            "case when {B} then {B} else {B} end", "coalesce({B}, {B})", "nullif({B}, {B})", "{T} = any({A})",
            "'a' = any({A})", "{A} = {A}", "{T} like {T} || '%'", "{I} + {I} > {I} - {S}", "{B} is null or {B}",
        ],
    },
    Kind {
        name: "Y",
        columns: &["y1", "y2"],
        values: &[
            "'2024-02-29'", "'1970-01-01'", "'1969-12-31'", "'0001-01-01'", "'9999-12-31'", "'2000-12-31'",
            "'2021-01-03'", "'290000-12-31'", "'1900-03-01'",
        ],
        cast: "date",
        forms: &[
            "{Y} + {I}", "{Y} + {P}", "{Y} - {P}", "{P} + {Y}", "{M}::date", "{T}::date",
            "case when {B} then {Y} else {Y} end", "coalesce({Y}, {Y})", "greatest({Y}, {Y})", "least({Y}, {Y})",
            "nullif({Y}, {Y})", "nullif({Y}, {M})",
        ],
    },
    Kind {
        name: "M",
        columns: &["m1", "m2"],
        values: &[
            "'2024-02-29 23:59:59.999999'", "'1970-01-01 00:00:00'", "'1969-12-31 23:59:59.5'",
            "'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'2024-01-31 12:34:56.789'", "'2001-01-01 00:00:00'",
            "'2000-12-31 18:00:00.000001'", "'1582-10-15 01:02:03'", "'294246-12-31 00:00:00'",
        ],
        cast: "timestamp",
        forms: &[
            "{Y}::timestamp", "{T}::timestamp", "{M} + interval '1 month'", "{M} - interval '1 day 02:30'",
            "{M} + interval '-13 months 3 days 5 seconds'", "interval '90 minutes' + {M}", "{Y} + interval '1 day'",
            "{Y} - interval '1 year'", "date_trunc('{H}', {M})", "date_trunc('month', {Y}::timestamp)",
            "date_bin('15 minutes', {M}, {M})", "date_bin('7 days', {M}, timestamp '2001-01-01')",
            "{Z} at time zone 'UTC'", "{Z} at time zone '+02'", "{Z} at time zone interval '05:30'",
            "case when {B} then {M} else {Y} end", "coalesce({M}, {Y})", "greatest({M}, {M})", "least({Y}, {M})",
            "nullif({M}, {M})", "nullif({M}, {Y})",
        ],
    },
    Kind {
        name: "Z",
        columns: &["z1"],
        values: &[
            "'2024-03-31 01:30:00+00'", "'1970-01-01 00:00:00+00'", "'1999-12-31 23:59:59.123456+00'",
            "'0001-01-01 00:00:00+00'", "'2024-07-01 12:00:00-03:30'",
        ],
        cast: "timestamptz",
        forms: &[
            "{M} at time zone 'UTC'", "{M} at time zone '-07:30'", "{Z} + interval '36 hours'",
            "{Z} - interval '5 minutes'", "date_trunc('{H}', {Z}, 'UTC')", "date_trunc('day', {Z}, '-05')",
            "date_bin('1 hour', {Z}, {Z})", "coalesce({Z}, {Z})", "greatest({Z}, {Z})", "case when {B} then {Z} end",
        ],
    },
    Kind {
        name: "U",
        columns: &["u1", "u2"],
        values: &[
            "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'123e4567-e89b-12d3-a456-426614174000'",
        ],
        cast: "uuid",
        forms: &[
            "coalesce({U}, {U})", "case when {B} then {U} else {U} end", "greatest({U}, {U})", "nullif({U}, {U})",
            "({U}::text)::uuid", "replace({U}::text, '-', '')::uuid",
        ],
    },
    Kind {
        name: "X",
        columns: &["x1", "x2"],
        values: &["'\\x'", "'\\x00'", "'\\xdeadbeef'", "'\\xff00'", "'abc'"],
        cast: "bytea",
        forms: &[
            "{X} || {X}", "substring({X}, {P}, {P})", "substring({X} from {P})", "coalesce({X}, {X})",
            "nullif({X}, {X})", "{T}::bytea",
        ],
    },
    Kind {
        name: "J",
        columns: &["j1"],
        values: &[
            "'{\"a\": 1,  \"b\":[1, 2]}'", "'[1, \"x\", null, {\"a\": 2}]'", "'\"t\"'", "'null'",
            "'{\"a\":\"ä\\n\",\"a\":\"last\"}'", "'1.50'", "'{\"b\": {\"c\":  true}}'",
        ],
        cast: "json",
        forms: &[
            "{J} -> 'a'", "{J} -> {P}", "{J} -> {T}", "coalesce({J}, {J})", "{K}::json", "{T}::json",
        ],
    },
    Kind {
        name: "K",
        columns: &["k1"],
        values: &[
            "'{\"bb\": 1, \"a\": \"2\", \"n\": 1.500, \"b\": {\"c\": [1, 2e2]}}'", "'[10, \"x\", null, [true]]'",
            "'\"q\\\"\\u00e4\\\\ \\u0001\"'", "'null'", "'{\"a\": null, \"b\": false}'", "'{}'", "'-0.5e-3'",
            "'{\"a\":\"12\",\"n\":\"7.50\"}'",
        ],
        cast: "jsonb",
        forms: &[
            "{K} -> 'a'", "{K} -> {P}", "{K} -> 'b' -> 'c'", "{J}::jsonb", "coalesce({K}, {K})", "{T}::jsonb",
            "case when {B} then {K} end",
        ],
    },
    Kind {
        name: "A",
        columns: &["a1"],
        values: &["'{}'", "'{a,b}'", "'{a,NULL,\"x y\"}'", "'{abc}'"],
        cast: "text[]",
        forms: &["coalesce({A}, {A})", "case when {B} then {A} else {A} end"],
    },
];

/// Small texts that stand in forms beside expressions.
#[rustfmt::skip]
pub const PARTS: &[(&str, &[&str])] = &[
    ("P", &["0", "1", "2", "3", "-1", "-2", "5", "i2 % 4", "s1 % 5", "id"]),
    ("R", &["0", "1", "2", "-1", "5", "s1 % 4", "-3"]),
    (
        "E",
        &[
            "year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "week", "quarter",
            "decade", "century", "millennium", "epoch", "dow", "isodow", "doy", "isoyear",
        ],
    ),
    (
        "G",
        &[
            "year", "month", "day", "week", "quarter", "decade", "century", "millennium", "epoch", "dow", "isodow",
            "doy", "isoyear",
        ],
    ),
    (
        "H",
        &[
            "year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "week", "quarter",
            "decade", "century", "millennium",
        ],
    ),
];
