"""Functions of DuckDB by what a call of them can do.

The lists say what is harmless, so a function that a later DuckDB brings is refused until somebody has read what it
does. `test_query_effects.py` and `test_untrusted_sql.py` in `tests/security/` try all others that `duckdb_functions()`
of the running version has.
"""

from __future__ import annotations

__all__ = ["BOUNDED", "EVALUATING", "GROWING", "PURE", "PURE_TABLES", "READING_TABLES"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


PURE = _names(
    """
    abs acos acosh add age ago any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max
    arg_max_null arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg array_append
    array_cat array_concat array_contains array_cosine_distance array_cosine_similarity array_cross_product
    array_distance array_distinct array_dot_product array_extract array_grade_up array_has array_has_all
    array_has_any array_indexof array_inner_product array_intersect array_length array_negative_dot_product
    array_negative_inner_product array_pop_back array_pop_front array_position array_prepend array_push_back
    array_push_front array_reverse array_reverse_sort array_select array_slice array_sort array_to_json
    array_to_string array_unique array_value array_where array_zip ascii asin asinh atan atan2 atanh avg base64 bin
    binom bit_and bit_count bit_length bit_or bit_position bit_xor bool_and bool_or cardinality cbrt ceil ceiling
    century char_length character_length chr concat concat_ws contains corr cos cosh cot count count_if count_star
    countif covar_pop covar_samp cume_dist damerau_levenshtein date_add date_diff date_part date_sub date_trunc
    datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade decode
    degrees dense_rank divide element_at encode ends_with entropy enum_code enum_first enum_last enum_range
    enum_range_boundary epoch epoch_ms epoch_ns epoch_us era even exp factorial favg fdiv fill first first_value
    flatten floor fmod formatReadableDecimalSize formatReadableSize format_bytes from_base64 from_binary from_hex
    from_json from_json_strict fsum gamma gcd gen_random_uuid geomean geometric_mean get_bit get_current_time
    get_current_timestamp grade_up greatest greatest_common_divisor group_concat hamming hash hex histogram hour if
    ilike_escape instr isfinite isinf isnan isodow isoyear jaccard jaro_similarity jaro_winkler_similarity json
    json_array json_array_length json_contains json_deep_merge json_exists json_extract json_extract_path
    json_extract_path_text json_extract_string json_group_array json_group_object json_group_structure json_insert
    json_keys json_merge_patch json_merge_patch_diff json_normalize json_object json_pretty json_quote json_remove
    json_replace json_set json_strip_nulls json_structure json_transform json_transform_strict json_type json_valid
    json_value julian kahan_sum kurtosis kurtosis_pop lag last last_day last_value lcase lcm lead least
    least_common_multiple left left_grapheme len length length_grapheme levenshtein lgamma like_escape list
    list_any_value list_append list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor
    list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance list_cosine_similarity
    list_count list_distance list_distinct list_dot_product list_element list_entropy list_extract list_first
    list_grade_up list_has list_has_all list_has_any list_histogram list_indexof list_inner_product list_intersect
    list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min list_mode
    list_negative_dot_product list_negative_inner_product list_pack list_position list_prepend list_product
    list_reverse list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop
    list_stddev_samp list_sum list_unique list_value list_var_pop list_var_samp list_where list_zip listagg ln log
    log10 log2 lower lpad ltrim lttb mad make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns
    make_timestamptz map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract
    map_extract_value map_from_entries map_keys map_values max max_by md5 md5_number md5_number_lower
    md5_number_upper mean median microsecond millennium millisecond min min_by minute mismatches mod mode month
    monthname multiply nanosecond nextafter nfc_normalize not_ilike_escape not_like_escape now nth_value ntile
    nullif octet_length ord overlay parse_dirname parse_dirpath parse_filename parse_formatted_bytes parse_path
    percent_rank pi position pow power prefix product quantile quantile_cont quantile_disc quarter radians random
    rank rank_dense regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
    regr_sxx regr_sxy regr_syy repeat replace reservoir_quantile reverse right right_grapheme round round_even
    roundbankers row row_number row_to_json rpad rtrim second sem set_bit sha1 sha256 sign signbit sin sinh skewness
    split split_part sqrt starts_with stddev stddev_pop stddev_samp str_split str_split_regex strftime string_agg
    string_split string_split_regex string_to_array strip_accents strlen strpos strptime struct_concat
    struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack
    struct_position struct_update struct_values substr substring substring_grapheme subtract suffix sum sumkahan tan
    tanh time_bucket timezone timezone_hour timezone_minute to_base to_base64 to_binary to_centuries to_days
    to_decades to_hex to_hours to_json to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters
    to_seconds to_timestamp to_weeks to_years today translate trim trunc try_strptime typeof ucase unbin unhex
    unicode union_extract union_tag union_value unnest upper url_decode url_encode uuid uuid_extract_timestamp
    uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance variant_array_length variant_contains
    variant_exists variant_extract variant_extract_string variant_keys variant_type variant_typeof wavg week weekday
    weekofyear weighted_avg xor year yearweek
    """
)
"""Scalar functions, aggregates and window functions whose result depends on their arguments, the clock or chance.
They read no file, setting, variable or catalog, and change nothing. Operators (`+`, `||`) are pure too.

Those that can make a huge value of a small one in a single step are left out as well: lambdas, lists by length, format
strings.
"""

EVALUATING = _names(
    """
    aggregate apply array_aggr array_aggregate array_apply array_filter array_reduce array_resize array_transform bar
    bitstring bitstring_agg can_cast_implicitly cast_to_type current_catalog current_database current_localtime
    current_localtimestamp current_date current_query current_role current_schema current_schemas current_setting
    current_user equi_width_bins error filter format generate_subscripts hive_partition_component
    histogram_exact in_search_path json_deserialize_sql json_serialize_sql list_aggr list_aggregate list_apply
    list_filter list_reduce list_resize list_string_agg list_transform path_join printf reduce session_user setseed
    sleep_ms pg_sleep pg_size_pretty pg_typeof st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_crs
    st_geomfromgeojson st_geomfromwkb st_intersects_extent st_setcrs stats switch transaction_timestamp txid_current
    user version current_connection_id current_query_id current_transaction_id currval vector_type
    """
)
"""More functions that change nothing outside their own query. They may show settings and the catalog."""

PURE_TABLES = _names("generate_series json_each json_tree range unnest")
"""Table functions that read nothing but their arguments."""

READING_TABLES = _names(
    """
    glob parquet_bloom_probe parquet_file_metadata parquet_full_metadata parquet_kv_metadata parquet_metadata
    parquet_scan parquet_schema read_avro read_blob read_csv read_csv_auto read_duckdb read_json read_json_auto
    read_json_objects read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects read_parquet
    read_single_csv_file read_single_json_file read_single_parquet_file read_text sniff_csv

    duckdb_approx_database_count duckdb_available_metrics duckdb_columns duckdb_connection_count duckdb_constraints
    duckdb_coordinate_systems duckdb_databases duckdb_dependencies duckdb_dialects duckdb_eviction_queues
    duckdb_extension_repositories duckdb_extensions duckdb_external_file_cache duckdb_external_resource_types
    duckdb_external_resources duckdb_functions duckdb_grammar_extensions duckdb_indexes duckdb_keywords
    duckdb_log_contexts duckdb_logs duckdb_logs_parsed duckdb_memory duckdb_optimizers duckdb_prepared_statements
    duckdb_profiling_settings duckdb_schemas duckdb_secret_type_parameters duckdb_secret_types duckdb_secrets
    duckdb_sequences duckdb_settings duckdb_table_sample duckdb_tables duckdb_temporary_files duckdb_triggers
    duckdb_types duckdb_variables duckdb_views which_secret

    histogram histogram_values icu_calendar_names pg_timezone_names pragma_collations pragma_database_size
    pragma_metadata_info pragma_platform pragma_show pragma_storage_info pragma_table_info pragma_user_agent
    pragma_version query_table repeat repeat_row summary test_all_types test_vector_types
    """
)
"""Table functions that read files or the catalog, and change nothing."""

GROWING = _names(
    """
    || array_append array_cat array_concat array_prepend array_push_back array_push_front array_value array_zip concat
    concat_ws json_array json_object list_append list_cat list_concat list_pack list_prepend list_value list_zip map
    map_concat path_join row struct_concat struct_insert struct_pack struct_update union_value
    """
)
"""Functions whose result is as large as all their arguments together."""


def _bounded(call: str, bounded: str, size: str) -> str:
    """A macro's parameters and body: the call, with one argument that fails where the result would be too large.

    A condition around the call would not do: DuckDB evaluates calls with constant arguments beforehand.
    """
    name, parameters = call.removesuffix(")").split("(")
    argument = f"CASE WHEN {size} > 1000000 THEN error('{name} would make too much of this') ELSE {bounded} END"
    arguments = ", ".join(argument if each == bounded else each for each in parameters.split(", "))
    return f"({parameters}) AS system.main.{name}({arguments})"


_REPLACED = "CASE WHEN strlen(b) > strlen(a) THEN strlen(s) // greatest(strlen(a), 1) * strlen(b) ELSE 0 END"

BOUNDED = {
    "array_to_string": _bounded("array_to_string(l, s)", "l", "len(l) * strlen(s)"),
    "damerau_levenshtein": _bounded("damerau_levenshtein(a, b)", "b", "strlen(a) * strlen(b)"),
    "jaro_similarity": _bounded("jaro_similarity(a, b)", "b", "strlen(a) * strlen(b)"),
    "jaro_winkler_similarity": _bounded("jaro_winkler_similarity(a, b)", "b", "strlen(a) * strlen(b)"),
    "levenshtein": _bounded("levenshtein(a, b)", "b", "strlen(a) * strlen(b)"),
    "lpad": _bounded("lpad(s, n, c)", "n", "10 * n"),
    "regexp_replace": (
        _bounded("regexp_replace(s, p, r)", "r", "strlen(s) * strlen(r)")
        + ", "
        + _bounded("regexp_replace(s, p, r, o)", "r", "strlen(s) * strlen(r)")
    ),
    "repeat": _bounded("repeat(s, n)", "n", "10 * len(s) * n"),
    "replace": _bounded("replace(s, a, b)", "b", _REPLACED),
    "rpad": _bounded("rpad(s, n, c)", "n", "10 * n"),
}
"""Functions that can make a huge value of a small one, or take time that grows with the square: as macros that fail
instead. DuckDB's memory limit does not count what a function is making, and it is not interrupted meanwhile."""
