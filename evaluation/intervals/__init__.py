"""How far each figure is known: bootstrap intervals over people, pictures, cameras and problems."""
