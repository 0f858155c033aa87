from django.urls import path

from reporting import views

app_name = "reporting"

urlpatterns = [
    path("overview/", views.overview, name="overview"),
    path("overview/tile/", views.tile, name="tile"),
    path("comparison/", views.comparison_page, name="comparison"),
    path("comparison.csv", views.comparison_csv, name="comparison_csv"),
    path("<str:kind>/add/", views.add_tile, name="add_tile"),
    path("<str:kind>/remove/", views.remove_tile, name="remove_tile"),
    path("<str:kind>/order/", views.order_tiles, name="order_tiles"),
]
