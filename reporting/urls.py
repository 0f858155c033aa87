from django.urls import path

from reporting.views import comparison, overview, records, reports, tiles

app_name = "reporting"

urlpatterns = [
    path("overview/", overview.overview, name="overview"),
    path("comparison/", comparison.comparison_page, name="comparison"),
    path("comparison.csv", comparison.comparison_csv, name="comparison_csv"),
    path("tile/", overview.tile, name="tile"),
    path("tile.csv", overview.tile_csv, name="tile_csv"),
    path("records/", records.records, name="records"),
    path("tiles/<str:tile_id>/edit/", tiles.edit_tile, name="edit_tile"),
    path("tiles/<str:tile_id>/duplicate/", tiles.duplicate_tile, name="duplicate_tile"),
    path("tiles/<str:tile_id>/remove/", tiles.remove_tile, name="remove_tile"),
    path("tiles/<str:tile_id>/width/", tiles.resize_tile, name="resize_tile"),
    path("<str:kind>/tiles/new/", tiles.new_tile, name="new_tile"),
    path("<str:kind>/order/", tiles.order_tiles, name="order_tiles"),
    path("<str:kind>/new/", reports.create, name="create"),
    path("<str:kind>/keep/", reports.keep_default, name="keep_default"),
    path("saved/<str:report_id>/rename/", reports.rename, name="rename"),
    path("saved/<str:report_id>/share/", reports.share, name="share"),
    path("saved/<str:report_id>/duplicate/", reports.duplicate, name="duplicate"),
    path("saved/<str:report_id>/delete/", reports.delete, name="delete"),
    path("saved/<str:report_id>/filters/", reports.keep_filters, name="keep_filters"),
]
