"""Words of SQL: those that need quotes as names, and those that an engine treats in a special way somewhere."""

# Words that an engine may refuse as a bare name. Quoting one too many does no harm.
RESERVED = frozenset(
    """all alter analyse analyze and anti any array as asc asof asymmetric at authorization between binary both by case
    cast check collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user day default deferrable desc describe
    distinct do drop else end except exists false fetch filter for force foreign freeze from full glob global
    grant group having ilike in initially inner insert install intersect interval into is isnull join lambda
    lateral leading left like limit localtime localtimestamp map month natural not notnull null offset on only
    or order outer over overlaps partition pivot pivot_longer pivot_wider placing position positional primary
    qualify range recursive references returning revoke right rollback row rows sample select semi session_user
    show similar some summarize symmetric sysdate system_user table tablesample then time timestamp to trailing
    true union unique unpack unpivot user using values variadic verbose when where window with year""".split()  # noqa: SIM905
)

# `duckdb_keywords()` and `pg_get_keywords()`
KEYWORDS = frozenset(
    """abort absolute access action add admin after aggregate all also alter always analyse analyze and anti any
    approx array as asc asensitive asof assertion assignment asymmetric at atomic attach attribute authorization
    backward before begin between bigint binary bit boolean both breadth by cache call called cascade cascaded
    case cast catalog centuries century chain char character characteristics check checkpoint class close cluster
    coalesce collate collation column columns comment comments commit committed compression concurrently
    configuration conflict connect connection constraint constraints content continue conversion copy cost create
    cross csv cube current current_catalog current_date current_role current_schema current_time current_timestamp
    current_user cursor cycle data database day days deallocate dec decade decades decimal declare default
    defaults deferrable deferred definer delete delimiter delimiters depends depth desc describe destroy detach
    dictionary disable discard disconnect distance distinct do document domain double drop each else enable
    encoding encrypted end enum error escape event exact except exclude excluding exclusive execute exists explain
    export export_state expression extension extensions external extract false family fetch filter finalize first
    float following for force foreign forward freeze from full function functions generated glob global grant
    granted greatest group grouping grouping_id groups handler having header hold hour hours identity if ignore
    ilike immediate immutable implicit import in include including increment index indexes inherit inherits
    initially inline inner inout input insensitive insert install instead int integer intersect interval into
    invoker is isnull isolation join json key label lambda language large last lateral leading leakproof least
    left level like limit listen load local localtime localtimestamp location lock locked logged macro map mapping
    match matched materialized maxvalue merge method microsecond microseconds millennia millennium millisecond
    milliseconds minute minutes minvalue mode month months move name names national natural nchar nearest new next
    nfc nfd nfkc nfkd no none normalize normalized not nothing notify notnull nowait null nullif nulls numeric
    object of off offset oids old on only operator option options or order ordinality others out outer over
    overlaps overlay overriding owned owner parallel parameter parser partial partition partitioned passing
    password percent persistent pivot pivot_longer pivot_wider placing plans policy position positional pragma
    preceding precision prepare prepared preserve primary prior privileges procedural procedure procedures program
    publication qualify quarter quarters quote range read real reassign recheck recursive ref references
    referencing refresh register reindex relative release rename repeatable replace replica reset resource
    resources respect restart restrict return returning returns revoke right role rollback rollup routine routines
    row rows rule sample savepoint schema schemas scope scroll search second seconds secret secure security select
    semi sequence sequences serializable server session session_user set setof sets share show similar similarity
    simple skip smallint snapshot some sorted source sql stable standalone start statement statistics stdin stdout
    storage stored strict strip struct subscription substring summarize support symmetric sysid system table
    tables tablesample tablespace target temp template temporary text then ties time timestamp to trailing
    transaction transform treat trigger trim true truncate trusted try_cast tuple type types uescape unbounded
    uncommitted unencrypted union unique unknown unlisten unlogged unpack unpivot until update use user using
    vacuum valid validate validator value values varchar variable variadic varying verbose version view views
    virtual volatile week weeks when where whitespace window with within without work wrapper write xml
    xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
    xmltable year years yes zone""".split()  # noqa: SIM905
)
