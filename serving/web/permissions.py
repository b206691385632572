"""The permission that each endpoint needs. An endpoint that is not listed is the admin's alone."""

from collections.abc import Mapping

from starlette.routing import compile_path

from serving.access.roles import Permission

ENDPOINTS: Mapping[tuple[str, str], Permission] = {
    ("GET", "/"): Permission.ENTER,
    ("GET", "/page/{file}"): Permission.ENTER,
    ("POST", "/sign-out"): Permission.ENTER,
    ("GET", "/v1/status"): Permission.ENTER,
    ("GET", "/v1/cameras"): Permission.ENTER,
    ("GET", "/v1/map"): Permission.ENTER,
    ("GET", "/v1/coverage"): Permission.ENTER,
    ("POST", "/v1/sentence"): Permission.SEARCH,
    ("POST", "/v1/photo"): Permission.SEARCH,
    ("POST", "/v1/search"): Permission.SEARCH,
    ("POST", "/v1/route"): Permission.SEARCH,
    ("POST", "/v1/where-next"): Permission.SEARCH,
    ("GET", "/v1/crops/{district}/{tracklet_id}"): Permission.SEARCH,
    ("POST", "/v1/trail/{district}/{tracklet_id}"): Permission.SEARCH,
    ("GET", "/v1/footage/{district}/{tracklet_id}"): Permission.SEARCH,
    ("POST", "/v1/footage/{district}/{tracklet_id}/frame"): Permission.SEARCH,
    ("POST", "/v1/footage/{district}/{tracklet_id}/clip"): Permission.SEARCH,
    ("POST", "/v1/watches"): Permission.SEARCH,
    ("POST", "/v1/watches/estimate"): Permission.SEARCH,
    ("GET", "/v1/watches"): Permission.SEARCH,
    ("POST", "/v1/watches/{watch_id}/end"): Permission.SEARCH,
    ("GET", "/v1/alerts"): Permission.SEARCH,
    ("GET", "/v1/alerts/events"): Permission.SEARCH,
    ("GET", "/v1/cases"): Permission.SEARCH,
    ("POST", "/v1/cases"): Permission.REVIEW,
    ("POST", "/v1/emergencies"): Permission.EMERGENCY,
    ("POST", "/v1/cases/{case_id}/agree"): Permission.REVIEW,
    ("GET", "/v1/cases/{case_id}"): Permission.SEARCH,
    ("GET", "/v1/cases/{case_id}/question"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/notes"): Permission.SEARCH,
    ("GET", "/v1/cases/{case_id}/photos/{photo_id}"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/photos/{photo_id}/remove"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/verdicts"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/corrections"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/boxes"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/close"): Permission.REVIEW,
    ("PUT", "/v1/cases/{case_id}/legal-hold"): Permission.REVIEW,
    ("PUT", "/v1/cases/{case_id}/operators"): Permission.REVIEW,
    ("GET", "/v1/cases/{case_id}/export"): Permission.REVIEW,
    ("POST", "/v1/cases/{case_id}/sheets"): Permission.SEARCH,
    ("GET", "/v1/cases/{case_id}/sheets"): Permission.SEARCH,
    ("GET", "/v1/cases/{case_id}/sheets/{sheet_id}/pdf"): Permission.SEARCH,
    ("POST", "/v1/cases/{case_id}/sheets/{sheet_id}/revoke"): Permission.SEARCH,
    ("GET", "/v1/audit"): Permission.AUDIT,
    ("GET", "/v1/audit/unusual"): Permission.AUDIT,
    ("GET", "/metrics"): Permission.MONITOR,
    ("GET", "/admin"): Permission.OPERATE,
    ("POST", "/admin"): Permission.OPERATE,
}

_PATTERNS = [(method, compile_path(path)[0], permission) for (method, path), permission in ENDPOINTS.items()]


def permission_for(method: str, path: str) -> Permission:
    """Permission that a request needs.

    Example:
        >>> permission_for("GET", "/v1/crops/demo/4"), permission_for("DELETE", "/v1/crops/demo/4")
        (<Permission.SEARCH: 'search'>, <Permission.OPERATE: 'operate'>)
    """
    for listed, pattern, permission in _PATTERNS:
        if listed == ("GET" if method == "HEAD" else method) and pattern.match(path):
            return permission
    return Permission.OPERATE
